package policy

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// FuzzParse: what is taken for a rule set is an object of the three members, each
// once, and allows a name only if a pattern that is made from one of its names, in
// another way, fits.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"services":["chat","orders-*"],"clients":"user","queues":["{sub}","x-{sub}-*"]}`, `{"clients":"any"}`,
		`{"services":["a"],"services":["b"]}`, `{"Services":["*"]}`, `{"services":["*"]} `, `{"services":null}`,
		`{"services":["a*b","{sub}{sub}","{SUB}"]}`, `{"clients":["any"]}`, `[]`, `null`, `{"service\u0073":["*"]}`,
	} {
		f.Add(text, "chat", "ann")
		f.Add(text, "x-ann-1", "*")
		f.Add(text, "orders-1", "")
	}
	f.Fuzz(func(t *testing.T, text, name, identity string) {
		if !literal(name) { // nothing else is routed
			t.Skip()
		}
		rules, err := Parse(text)
		if err != nil {
			if rules != nil || !errors.Is(err, ErrRules) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, %q", rules, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("taken: %v", err)
		}
		for key, raw := range members {
			var list []string
			var word string
			switch key {
			case "services":
				err = json.Unmarshal(raw, &list)
				expect(t, rules.services, list, name, identity)
			case "queues":
				err = json.Unmarshal(raw, &list)
				expect(t, rules.queues, list, name, identity)
			case "clients":
				if err = json.Unmarshal(raw, &word); word != rules.clients.String() {
					t.Fatalf("clients %q, want %q", rules.clients, word)
				}
			default:
				t.Fatalf("taken with %q", key)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// expect asks the regular expressions that names stand for.
func expect(t *testing.T, got names, listed []string, name, identity string) {
	t.Helper()
	want := false
	for _, l := range listed {
		if strings.Contains(l, "{sub}") && identity == "" {
			continue
		}
		pattern, star := strings.CutSuffix(l, "*")
		pattern = strings.ReplaceAll(regexp.QuoteMeta(pattern), regexp.QuoteMeta("{sub}"), regexp.QuoteMeta(identity))
		if star {
			pattern += `(?s:.*)`
		}
		if r, err := regexp.Compile(`\A` + pattern + `\z`); err == nil && r.MatchString(name) {
			want = true
		}
	}
	if got.match(name, identity) != want {
		t.Fatalf("%q of %q by %q: %v", name, identity, listed, !want)
	}
}
