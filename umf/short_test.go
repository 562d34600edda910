package umf

import (
	"fmt"
	"strings"
	"testing"
)

func TestAppendShort(t *testing.T) {
	via, mid := Set{Via, []byte(`"V"`)}, Set{Mid, []byte(`"M"`)}
	noVia := Set{Via, nil}
	tests := map[string]struct {
		text string
		set  []Set
		want string
	}{
		"short: the same bytes": {
			`{"bdy" : {"a": 1.0e0 } ,"to":"a:/" }`, nil,
			`{"bdy" : {"a": 1.0e0 } ,"to":"a:/" }`,
		},
		"white space around is left out": {" \n{\"to\":1}\n ", nil, `{"to":1}`},
		"splice in place":                {`{"via": "client's" ,"to":1}`, []Set{via}, `{"via": "V" ,"to":1}`},
		"splice at the end":              {`{"to":1 }`, []Set{via}, `{"to":1 ,"via":"V"}`},
		"splice last place":              {`{"to":1,"via":2}`, []Set{via}, `{"to":1,"via":"V"}`},
		"splice both ways":               {`{"to":1,"via":2,"bdy":3}`, []Set{mid, via}, `{"to":1,"via":"V","bdy":3,"mid":"M"}`},
		"splice two, against the order":  {`{"via":2,"to":1,"mid":3}`, []Set{mid, via}, `{"via":"V","to":1,"mid":"M"}`},
		"splice into nothing":            {`{ }`, []Set{via, mid}, `{ "via":"V","mid":"M"}`},
		"splice next to unknown":         {`{"x":1}`, []Set{via}, `{"x":1,"via":"V"}`},
		"last of a field counts":         {`{"to":1}`, []Set{{Via, []byte(`1`)}, via}, `{"to":1,"via":"V"}`},
		"last of a field counts, there":  {`{"via":0,"to":1}`, []Set{{Via, []byte(`1`)}, via}, `{"via":"V","to":1}`},
		"remove":                         {`{"via":0,"to":1}`, []Set{noVia}, `{"to":1}`},
		"remove what is not there":       {`{"bdy":0,"to":1}`, []Set{noVia}, `{"bdy":0,"to":1}`},
		"remove, then set":               {`{"bdy":0,"to":1}`, []Set{noVia, via}, `{"bdy":0,"to":1,"via":"V"}`},
		"set, then remove":               {`{"via":0,"to":1}`, []Set{via, noVia}, `{"to":1}`},
		"remove everything":              {`{"via":0}`, []Set{noVia}, `{}`},
		"long form": {
			`{"body":{"body":"x"},"from":"b:/","to":"a:/","version":"v","x":1,"timestamp":"t","headers":{},"priority":1,"ttl":2,"for":3,` +
				`"authorization":"z","forward":"f","type":"y","timeout":9,"signature":"s","rmid":"r","mid":"m","y":[ 1 ]}`,
			[]Set{via},
			`{"to":"a:/","frm":"b:/","hdr":{},"mid":"m","rmid":"r","sig":"s","tmo":9,"ts":"t","typ":"y","ver":"v","via":"V","fwd":"f",` +
				`"bdy":{"body":"x"},"aut":"z","pri":1,"ttl":2,"for":3,"x":1,"y":[ 1 ]}`,
		},
		"mixed form":                   {`{"from":"b:/","to":"a:/","bdy": 1}`, nil, `{"to":"a:/","frm":"b:/","bdy":1}`},
		"unknown keys only, one twice": {`{"x":1,"x":2}`, nil, `{"x":2}`},
		"values are not touched": {
			`{"body":{"a":9007199254740993,"b":1e400,"c":-0,"a":"\u0061\/"},"to":1}`, nil,
			`{"to":1,"bdy":{"a":9007199254740993,"b":1e400,"c":-0,"a":"\u0061\/"}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := mustScan(t, test.text)
			if got := string(e.AppendShort([]byte("before"), test.set...)); got != "before"+test.want {
				t.Errorf("\n got %s\nwant before%s", got, test.want)
			}
		})
	}
}

// TestManyUnknownKeys is about messages with more unknown keys than an
// Envelope remembers.
func TestManyUnknownKeys(t *testing.T) {
	for _, n := range []int{maxUnknown - 1, maxUnknown, maxUnknown + 1, 5000} {
		var text, want strings.Builder
		text.WriteString(`{"x0" :"first","to":1,"y\u0030":0`)
		want.WriteString(`{"to":1`)
		for i := range n {
			fmt.Fprintf(&text, ` , "x%d" : [ %d ] `, i, i)
			fmt.Fprintf(&want, `,"x%d":[ %d ]`, i, i)
			if i == 0 {
				want.WriteString(`,"y\u0030":2`)
			}
		}
		text.WriteString(`,"y0":2}`)
		want.WriteString(`}`)
		e := mustScan(t, text.String())
		if got := string(e.AppendShort(nil)); got != want.String() {
			t.Errorf("%d keys: %.200s", n, got)
		}
	}
}

// TestVerifiedIsForwarded: of a key that is twice in a signed value, only the
// one that was signed goes on.
func TestVerifiedIsForwarded(t *testing.T) {
	keys := NewKeys("k")
	const wire = `{"to":"a:/","frm":"b:/","mid":"m","ts":"t","bdy":{"admin":true,"n":1.0,"admin":false},"hdr":{"n":1.0}`
	e := mustScan(t, wire+`}`)
	signature := keys.Sign(e)

	e = mustScan(t, wire+`,"sig":"`+signature+`"}`)
	if !e.IsShort() {
		t.Fatal("not short")
	}
	if got := string(e.AppendShort(nil)); got != wire+`,"sig":"`+signature+`"}` {
		t.Errorf("before it was verified: %s", got)
	}
	if err := keys.Verify(e); err != nil {
		t.Fatal(err)
	}
	want := `{"to":"a:/","frm":"b:/","hdr":{"n":1.0},"mid":"m","sig":"` + signature + `","ts":"t","bdy":{"admin":false,"n":1}}`
	got := e.AppendShort(nil)
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if err := keys.Verify(mustScan(t, string(got))); err != nil {
		t.Errorf("what goes on: %v", err)
	}
	got = e.AppendShort(nil, Set{Body, []byte(`1`)})
	if want := `{"to":"a:/","frm":"b:/","hdr":{"n":1.0},"mid":"m","sig":"` + signature + `","ts":"t","bdy":1}`; string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
