package policy

import (
	"fmt"
	"testing"
)

// rulesOf is a rule set of so many names.
func rulesOf(n int, form string) string {
	text := `{"clients":"user","services":[`
	for i := range n {
		if i > 0 {
			text += ","
		}
		text += `"` + fmt.Sprintf(form, i) + `"`
	}
	return text + `,"chat"],"queues":["orders"]}`
}

var shapes = map[string]string{
	"open":             "",
	"a few":            `{"clients":"user","services":["orders","chat"],"queues":["orders"]}`,
	"200 names":        rulesOf(200, "service-%d"),
	"50 with a star":   rulesOf(50, "service-%d-*"),
	"50 with identity": rulesOf(50, "service-%d-{sub}"),
}

func rightsOf(tb testing.TB, text string) *Rights {
	b, err := NewBook("", "auth-svcs")
	if err != nil {
		tb.Fatal(err)
	}
	r, err := b.Rights(text, "ann@example.org")
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// TestAllocations: to judge a message allocates nothing.
func TestAllocations(t *testing.T) {
	for name, text := range shapes {
		r := rightsOf(t, text)
		if n := testing.AllocsPerRun(100, func() {
			_, chat := r.Service("chat")
			_, _ = r.Service("nothing-of-the-kind")
			_, orders := r.Queue("orders")
			if !chat || !orders || r.Clients() == Nobody {
				t.Fatal("denied")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkService(b *testing.B) {
	for name, text := range shapes {
		r := rightsOf(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := r.Service("chat"); !ok {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(shapes["a few"]); err != nil {
			b.Fatal(err)
		}
	}
}
