package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrRules is wrapped by the errors about a text that is no rule set. They are one
// line.
var ErrRules = errors.New("not a rule set")

// Bounds of a rule set.
const (
	maxText  = 16 << 10 // bytes
	maxNames = 256      // of one member
	maxName  = 64       // bytes; no service has a longer one
)

// subject stands for the identity in a name.
const subject = "{sub}"

// Parse reads a rule set. Errors wrap [ErrRules].
func Parse(text string) (*Rules, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrRules, maxText)
	}
	// The whole, and nothing behind it, is JSON: so the tokens below come in an order
	// that JSON has.
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%w: not JSON", ErrRules)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: not an object", ErrRules)
	}
	r := new(Rules)
	var seen []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRules, err)
		}
		key, _ := t.(string) // the keys of JSON are strings
		for _, before := range seen {
			if key == before {
				return nil, fmt.Errorf("%w: %s is there twice", ErrRules, key)
			}
		}
		seen = append(seen, key)
		if err := r.member(d, key); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// member reads the value of a key.
func (r *Rules) member(d *json.Decoder, key string) error {
	switch key {
	case "services":
		return r.services.read(d, key)
	case "queues":
		return r.queues.read(d, key)
	case "clients":
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRules, err)
		}
		for scope, word := range scopeWords {
			if t == word {
				r.clients = Scope(scope)
				return nil
			}
		}
		return fmt.Errorf("%w: clients is none of any, user, none", ErrRules)
	}
	return fmt.Errorf("%w: unknown member %s: there are services, queues and clients", ErrRules, short(key))
}

// read reads a list of names.
func (n *names) read(d *json.Decoder, member string) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%w: %s is not a list of names", ErrRules, member)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRules, err)
		}
		name, ok := t.(string)
		switch {
		case !ok:
			return fmt.Errorf("%w: %s has something in it that is no name", ErrRules, member)
		case len(n.listed) == maxNames:
			return fmt.Errorf("%w: more than %d names in %s", ErrRules, maxNames, member)
		case !n.add(name):
			return fmt.Errorf("%w: %s: %s is not the name of a service, with * at its end or {sub} in it once", ErrRules, member, short(name))
		}
	}
	_, err := d.Token() // the end of the list
	return err
}

// add takes a name, or reports that it is none.
func (n *names) add(name string) bool {
	head, tail, hasSubject := strings.Cut(name, subject)
	last, rest := &head, false
	if hasSubject {
		last = &tail
	}
	*last, rest = strings.CutSuffix(*last, "*")
	if name == "" || len(head)+len(tail) > maxName || !literal(head) || !literal(tail) {
		return false
	}
	switch {
	case hasSubject:
		n.templates = append(n.templates, template{head, tail, rest})
	case rest:
		n.prefixes = append(n.prefixes, head)
	default:
		if n.exact == nil {
			n.exact = make(map[string]struct{})
		}
		n.exact[name] = struct{}{}
	}
	n.listed = append(n.listed, name)
	return true
}

// literal reports whether a text has only bytes that the name of a service may have.
func literal(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// short quotes a text, and cuts a long one.
func short(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return fmt.Sprintf("%q", text)
}
