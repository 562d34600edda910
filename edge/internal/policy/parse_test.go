package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A rule set is understood as a whole, or not at all.
func TestParseRefuses(t *testing.T) {
	many := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf(`"s%d"`, i))
		}
		return `{"services":[` + strings.Join(names, ",") + `]}`
	}
	for name, text := range map[string]string{
		"nothing":                      ``,
		"blanks":                       `  `,
		"no JSON":                      `services`,
		"text":                         `"{}"`,
		"a list":                       `["services"]`,
		"null":                         `null`,
		"true":                         `true`,
		"two objects":                  `{}{}`,
		"something behind":             `{} x`,
		"a comma too much":             `{"services":["a",]}`,
		"an end too early":             `{"services":["a"`,
		"a byte order mark":            "\ufeff{}",
		"NUL behind":                   "{}\x00",
		"an unknown member":            `{"services":["a"],"topics":["a"]}`,
		"an empty member":              `{"":[]}`,
		"upper case":                   `{"Services":["a"]}`,
		"upper case beside":            `{"services":["a"],"SERVICES":["b"]}`,
		"a long s":                     `{"` + "\u017f" + `ervices":["a"]}`,
		"a blank in a member":          `{"services ":["a"]}`,
		"one service":                  `{"service":["a"]}`,
		"a member twice":               `{"services":["a"],"services":["b"]}`,
		"a member twice, escaped":      `{"services":["a"],"service\u0073":["b"]}`,
		"clients twice":                `{"clients":"none","clients":"any"}`,
		"services are text":            `{"services":"a"}`,
		"services are null":            `{"services":null}`,
		"services are an object":       `{"services":{"a":true}}`,
		"services are true":            `{"services":true}`,
		"a name is a number":           `{"services":[1]}`,
		"a name is null":               `{"services":[null]}`,
		"a name is a list":             `{"services":[["a"]]}`,
		"a name is an object":          `{"services":[{"a":1}]}`,
		"queues are text":              `{"queues":"a"}`,
		"clients are a list":           `{"clients":["any"]}`,
		"clients are null":             `{"clients":null}`,
		"clients are true":             `{"clients":true}`,
		"clients are empty":            `{"clients":""}`,
		"clients in upper case":        `{"clients":"Any"}`,
		"clients are all":              `{"clients":"*"}`,
		"an empty name":                `{"services":[""]}`,
		"* in the middle":              `{"services":["a*b"]}`,
		"* at the beginning":           `{"services":["*a"]}`,
		"two *":                        `{"services":["a**"]}`,
		"* before {sub}":               `{"services":["*{sub}"]}`,
		"{sub} twice":                  `{"services":["{sub}-{sub}"]}`,
		"{sub} in {sub}":               `{"services":["{su{sub}b}"]}`,
		"another word in braces":       `{"services":["{user}"]}`,
		"{SUB}":                        `{"services":["{SUB}"]}`,
		"a dot":                        `{"services":["a.b"]}`,
		">":                            `{"services":[">"]}`,
		"a blank":                      `{"services":["a "]}`,
		"an address":                   `{"services":["a:/"]}`,
		"an instance":                  `{"services":["i@a"]}`,
		"NUL":                          `{"services":["a\u0000"]}`,
		"a letter of another alphabet": `{"services":["а"]}`,
		"no UTF-8":                     "{\"services\":[\"a\xff\"]}",
		"a name that is too long":      `{"services":["` + strings.Repeat("a", 65) + `"]}`,
		"too many names":               many(maxNames + 1),
		"a text that is too long":      `{}` + strings.Repeat(" ", maxText),
		"arrays without end":           `{"services":` + strings.Repeat("[", 8000),
	} {
		r, err := Parse(text)
		if r != nil || !errors.Is(err, ErrRules) {
			t.Errorf("%s: %v, %v", name, r, err)
			continue
		}
		if line := err.Error(); strings.ContainsAny(line, "\n\x00") || len(line) > 250 {
			t.Errorf("%s: told with %d bytes: %.300q", name, len(line), line)
		}
	}
	for _, text := range []string{`{}`, " {\n} ", `{"services":[]}`, many(maxNames), `{"services":["` + strings.Repeat("a", 64) + `"]}`,
		`{"service\u0073":["a"]}`, `{"clients":"none"}`, `{"services":["a","a"]}`} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

// A set allows what it names.
func TestRights(t *testing.T) {
	type want struct {
		service, queue string // names, * before those that are denied
		clients        Scope
	}
	for _, test := range []struct {
		rules, identity string
		want
	}{
		{`{}`, "ann", want{"*chat *a", "*chat", Nobody}},
		{`{"services":["chat","orders"],"clients":"any","queues":["orders"]}`, "", want{"chat orders *Chat *chat2 *cha *chat- *auth", "orders *chat", Anybody}},
		{`{"services":["chat"]}`, "", want{"chat", "*chat", Nobody}},
		{`{"queues":["chat"]}`, "", want{"*chat", "chat", Nobody}},
		{`{"services":["*"],"queues":["*"]}`, "", want{"a b-c Auth auths *auth", "a auth2 *auth", Nobody}},
		{`{"services":["auth"],"queues":["a*"]}`, "", want{"*auth", "a ab *auth *b", Nobody}},
		{`{"services":["chat-*"]}`, "", want{"chat- chat-a *chat *xchat-a *Chat-a", "", Nobody}},
		{`{"clients":"user"}`, "ann", want{"", "", User}},
		{`{"clients":"user"}`, "", want{"", "", Nobody}},
		{`{"services":["{sub}"]}`, "ann", want{"ann *ann2 *Ann *an *{sub}", "", Nobody}},
		{`{"services":["room-{sub}","{sub}-db"]}`, "ann", want{"room-ann ann-db *room-anna *room- *xann-db *ann-db2 *room-bob", "", Nobody}},
		{`{"services":["room-{sub}-*"]}`, "ann", want{"room-ann- room-ann-1 *room-anna-1 *room-ann *room--1", "", Nobody}},
		// An identity is no pattern, and none is no identity.
		{`{"services":["room-{sub}","{sub}"]}`, "*", want{"*room-a *a *room-", "", Nobody}},
		{`{"services":["room-{sub}","{sub}"]}`, "a*", want{"*room-ab *ab *a", "", Nobody}},
		{`{"services":["{sub}*"],"queues":["{sub}*"]}`, "", want{"*a *b", "*a", Nobody}},
		{`{"services":["room-{sub}-*"]}`, "", want{"*room-a *room--a *room-", "", Nobody}},
		{`{"services":["{sub}"]}`, ">", want{"*a *b", "", Nobody}},
		{`{"services":["{sub}"]}`, "a.b", want{"*a *b *ab", "", Nobody}},
		{`{"services":["{sub}"]}`, "a\x00", want{"*a", "", Nobody}},
		{`{"services":["{sub}"]}`, " a", want{"*a", "", Nobody}},
		{`{"services":["{sub}"]}`, "{sub}", want{"*a *sub", "", Nobody}},
		{`{"services":["x-{sub}"]}`, `a","services":["b`, want{"*a *b *x-a", "", Nobody}},
		{`{"services":["{sub}"]}`, "auth", want{"*auth", "", Nobody}},
	} {
		b, err := NewBook("", "auth")
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Rights(test.rules, test.identity)
		if err != nil {
			t.Errorf("%s: %v", test.rules, err)
			continue
		}
		judge := func(kind Denial, list string, may func(string) (Denial, bool)) {
			for name := range strings.FieldsSeq(list) {
				name, denied := strings.CutPrefix(name, "*")
				why, ok := may(name)
				if want := kind; ok == denied || denied && why != want && name != "auth" || denied && name == "auth" && why != DeniedAuth {
					t.Errorf("%s of %q: %v %s: %v, %v", test.rules, test.identity, kind, name, ok, why)
				}
			}
		}
		judge(DeniedService, test.service, r.Service)
		judge(DeniedQueue, test.queue, r.Queue)
		if got := r.Clients(); got != test.clients {
			t.Errorf("%s of %q: clients %v", test.rules, test.identity, got)
		}
	}
}

// Without rules all is open but for the one service; without rights nothing is.
func TestOpenAndClosed(t *testing.T) {
	b, err := NewBook("", "auth")
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{"", "ann"} {
		r, err := b.Rights("", identity)
		if err != nil || r.Identity() != identity || r.Clients() != Anybody {
			t.Errorf("%q: %v, %v", identity, r, err)
		}
		for name, want := range map[string]bool{"a": true, "client": true, "auth": false, "Auth": true} {
			_, service := r.Service(name)
			_, queue := r.Queue(name)
			if service != want || queue != want {
				t.Errorf("%s: %v, %v", name, service, queue)
			}
		}
	}
	var r *Rights
	_, service := r.Service("a")
	_, queue := r.Queue("a")
	if service || queue || r.Clients() != Nobody || r.Identity() != "" {
		t.Error("no rights are some")
	}
}

func TestWords(t *testing.T) {
	seen := make(map[string]bool)
	for d := range Denial(numDenials) {
		if d.String() == "" || d.Text() == "" || seen[d.String()] {
			t.Errorf("%d is called %q, %q", d, d, d.Text())
		}
		seen[d.String()] = true
	}
}
