package policy

import (
	"fmt"
	"strings"
)

// Denial says what was not allowed. The set is closed: its words are the values of
// a metric's label.
type Denial uint8

const (
	DeniedService Denial = iota // a service that the rules do not name
	DeniedQueue                 // the work queue of such a service
	DeniedClient                // a session that the rules leave out
	DeniedAuth                  // the service that authenticates clients
	DeniedRules                 // a client whose rule set is none

	numDenials
)

// NumDenials is the number of Denial values.
const NumDenials = int(numDenials)

var denialWords = [numDenials]string{
	DeniedService: "service",
	DeniedQueue:   "queue",
	DeniedClient:  "client",
	DeniedAuth:    "authentication",
	DeniedRules:   "rules",
}

// String returns the metric label.
func (d Denial) String() string {
	if d < numDenials {
		return denialWords[d]
	}
	return fmt.Sprintf("denial_%d", uint8(d))
}

var denialTexts = [numDenials]string{
	DeniedService: "Not allowed to send to this service",
	DeniedQueue:   "Not allowed to store work for this service",
	DeniedClient:  "Not allowed to send to this client",
	DeniedAuth:    "The authentication service takes no messages of clients",
	DeniedRules:   "The rules of this client are not valid",
}

// Text is the denial as a sentence for the client.
func (d Denial) Text() string { return denialTexts[d] }

// Scope says to which sessions a client may write.
type Scope uint8

const (
	Nobody  Scope = iota
	User          // those of its own identity, if it has one
	Anybody       // those whose id it knows
)

var scopeWords = [...]string{Nobody: "none", User: "user", Anybody: "any"}

// String returns the word in a rule set.
func (s Scope) String() string { return scopeWords[s] }

// Rules is a rule set. Immutable, and safe for concurrent use.
type Rules struct {
	services, queues names
	clients          Scope
}

// open is what holds where nothing else is said.
var open = &Rules{services: everything, queues: everything, clients: Anybody}

// names is a list of names. A lookup takes the same time however many have no *.
type names struct {
	listed    []string
	exact     map[string]struct{}
	prefixes  []string   // of names that end in *
	templates []template // of names with {sub}
}

var everything = names{listed: []string{"*"}, prefixes: []string{""}}

// template is a name with {sub} between its parts. rest: it ends in *.
type template struct {
	head, tail string
	rest       bool
}

// match reports whether the list has a name, for a client of the identity sub.
func (n *names) match(name, sub string) bool {
	if _, ok := n.exact[name]; ok {
		return true
	}
	for _, prefix := range n.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	if sub == "" {
		return false
	}
	for i := range n.templates {
		if n.templates[i].match(name, sub) {
			return true
		}
	}
	return false
}

func (t *template) match(name, sub string) bool {
	name, ok := strings.CutPrefix(name, t.head)
	if !ok {
		return false
	}
	if name, ok = strings.CutPrefix(name, sub); !ok {
		return false
	}
	return name == t.tail || t.rest && strings.HasPrefix(name, t.tail)
}

// Rights is a rule set in the hands of a client. A nil one allows nothing.
// Immutable, and safe for concurrent use.
type Rights struct {
	rules    *Rules
	closed   string // the service that no client reaches
	identity string
}

// Identity is who the client is; "" if it has none.
func (r *Rights) Identity() string {
	if r == nil {
		return ""
	}
	return r.identity
}

// Open reports whether the client may write to all that any client may write to.
func (r *Rights) Open() bool { return r != nil && r.rules == open }

// Service reports whether the client may write to a service, or what speaks
// against it. The name is the one that the message is routed by.
func (r *Rights) Service(name string) (Denial, bool) {
	switch {
	case r == nil:
		return DeniedService, false
	case name == r.closed:
		return DeniedAuth, false
	}
	return DeniedService, r.rules.services.match(name, r.identity)
}

// Queue reports whether the client may store work for a service, or what speaks
// against it.
func (r *Rights) Queue(name string) (Denial, bool) {
	switch {
	case r == nil:
		return DeniedQueue, false
	case name == r.closed:
		return DeniedAuth, false
	}
	return DeniedQueue, r.rules.queues.match(name, r.identity)
}

// Clients says to which sessions the client may write.
func (r *Rights) Clients() Scope {
	switch {
	case r == nil, r.rules.clients == User && r.identity == "":
		return Nobody
	}
	return r.rules.clients
}

// Services lists the services that the client may write to, in the order of the
// rule set, with its identity in place of {sub}.
func (r *Rights) Services() []string { return r.rules.services.of(r.identity) }

// Queues lists the services that the client may store work for.
func (r *Rights) Queues() []string { return r.rules.queues.of(r.identity) }

func (n *names) of(sub string) (list []string) {
	for _, name := range n.listed {
		if sub == "" && strings.Contains(name, subject) {
			continue
		}
		list = append(list, strings.Replace(name, subject, sub, 1))
	}
	return list
}
