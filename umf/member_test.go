package umf

import (
	"encoding/json"
	"testing"
)

func TestMember(t *testing.T) {
	for _, test := range []struct{ raw, want, text string }{
		{`{"id":"a"}`, `"a"`, "a"},
		{` { "x" : {"id":1} , "id" : "\u0061\n" } `, `"\u0061\n"`, "a\n"},
		{`{"ID":1,"id":2,"Id":3}`, `2`, ""},
		{`{"id":1,"id":2}`, `2`, ""},
		{`{"\u0069d":{"a":[1]}}`, `{"a":[1]}`, ""},
		{`{"id":null}`, `null`, ""},
		{`{}`, "", ""}, {`{"x":1}`, "", ""}, {`["id"]`, "", ""}, {`"id"`, "", ""}, {`7`, "", ""}, {``, "", ""},
		{`{`, "", ""}, {`{"id"`, "", ""}, {`{"id":1`, "", ""}, {`{"id":1 "x":2}`, "", ""}, {`{"id":1,`, "", ""}, {`{id:1}`, "", ""},
	} {
		if got := string(Member([]byte(test.raw), "id")); got != test.want {
			t.Errorf("%s: %s, want %s", test.raw, got, test.want)
		}
		text, ok := MemberText([]byte(test.raw), "id")
		if text != test.text || ok != (len(test.want) > 0 && test.want[0] == '"') {
			t.Errorf("%s: text %q, %v", test.raw, text, ok)
		}
	}
}

// FuzzMember compares Member with a map of encoding/json, whose keys match
// exactly.
func FuzzMember(f *testing.F) {
	d := newDice(3)
	for range 50 {
		f.Add(randomMessage(d), "body")
	}
	f.Add(`{"a\u0062":1,"ab":2}`, "ab")
	f.Fuzz(func(t *testing.T, raw, key string) {
		got := Member([]byte(raw), key)
		var e Envelope
		if Scan([]byte(raw), &e) != nil {
			return // it must not panic
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &all); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if want := all[key]; string(got) != string(want) {
			t.Fatalf("%q: %q is %q, want %q", raw, key, got, want)
		}
	})
}
