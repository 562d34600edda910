package policy

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// A text is compiled once, whoever brings it, and a book holds only so many.
func TestBook(t *testing.T) {
	b, err := NewBook(`{"services":["base"]}`, "auth")
	if err != nil {
		t.Fatal(err)
	}
	get := func(text, identity string) *Rights {
		t.Helper()
		r, err := b.Rights(text, identity)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const text = `{"services":["x-{sub}"]}`
	ann, bob := get(text, "ann"), get(text, "bob")
	if ann.rules != bob.rules || ann.Identity() != "ann" || bob.Identity() != "bob" {
		t.Error("a text is compiled twice, or an identity is another's")
	}
	if one, two := get("", ""), get("", ""); one != two || get("", "ann").rules != get("", "").rules {
		t.Error("clients without rules of their own do not share those of the node")
	}
	for i := range 3 * maxCompiled {
		get(fmt.Sprintf(`{"services":["s%d"]}`, i), "")
		if len(b.compiled) > maxCompiled {
			t.Fatalf("%d rule sets are kept", len(b.compiled))
		}
	}
	if _, ok := ann.Service("x-ann"); !ok {
		t.Error("what a client has is gone")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				if _, err := b.Rights(fmt.Sprintf(`{"queues":["s%d"]}`, i%10), "ann"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// What is no rule set is refused where it comes from, also the second time, and
// never replaced by other rules.
func TestBookRefuses(t *testing.T) {
	if _, err := NewBook(`{"services":[1]}`, "auth"); !errors.Is(err, ErrRules) {
		t.Error(err)
	}
	b, err := NewBook("", "auth")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, text := range []string{"null", " ", `{"Services":["*"]}`, `""`, `"{}"`} {
			if r, err := b.Rights(text, "ann"); r != nil || !errors.Is(err, ErrRules) {
				t.Errorf("%q: %v, %v", text, r, err)
			}
		}
	}
	if _, ok := b.Operator().Service("auth"); ok {
		t.Error("the operator reaches the authentication service through the edge")
	}
}
