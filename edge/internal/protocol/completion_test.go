package protocol

import (
	"regexp"
	"testing"
	"time"

	"hydrant/umf"
)

func scan(t testing.TB, text string) *umf.Envelope {
	t.Helper()
	e := new(umf.Envelope)
	if err := umf.Scan([]byte(text), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCompletion(t *testing.T) {
	fresh := regexp.MustCompile(`^"[0-9a-f-]{36}"$`)
	for _, test := range []struct{ fields, mid, want string }{
		{`"mid":"m","ts":"then","ver":"UMF/1.3"`, `"m"`, `{"to":"a:/","frm":"b:/","mid":"m","ts":"then","ver":"UMF/1.3","bdy":1,"via":"v:/"}`},
		{`"mid":7,"ts":"then","ver":"UMF/1.3"`, `7`, `{"to":"a:/","frm":"b:/","mid":7,"ts":"then","ver":"UMF/1.3","bdy":1,"via":"v:/"}`},
		{`"mid":"m","ts":"","ver":null`, `"m"`, `{"to":"a:/","frm":"b:/","mid":"m","ts":"2026-01-12T12:00:00.000Z","ver":"UMF/1.4.6","bdy":1,"via":"v:/"}`},
		{`"mid":0,"ts":"then"`, "", `{"to":"a:/","frm":"b:/","mid":"-","ts":"then","bdy":1,"ver":"UMF/1.4.6","via":"v:/"}`},
	} {
		e := scan(t, `{"to":"a:/","frm":"b:/",`+test.fields+`,"bdy":1}`)
		c := Complete(e, noon)
		c.Set(umf.Via, []byte(`"v:/"`))
		text := anyMid.ReplaceAllString(string(e.AppendShort(nil, c.Sets()...)), `"mid":"-"`)
		if text != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.fields, text, test.want)
		}
		if mid := string(c.Mid); mid != test.mid && (test.mid != "" || !fresh.MatchString(mid)) {
			t.Errorf("%s: mid is %s", test.fields, mid)
		}
	}
}

// A message that lacks nothing costs no more than the text that it becomes.
func TestCompletionDoesNotAllocate(t *testing.T) {
	e, text, via := scan(t, `{"to":"a:/","frm":"b:/","mid":"m","ts":"then","ver":"UMF/1.4.6","bdy":1}`), make([]byte, 0, 512), []byte(`"v:/"`)
	if n := testing.AllocsPerRun(1000, func() {
		c := Complete(e, noon)
		c.Set(umf.Via, via)
		text = e.AppendShort(text[:0], c.Sets()...)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTTL(t *testing.T) {
	for raw, want := range map[string]time.Duration{
		"5": 5 * time.Second, `"5"`: 5 * time.Second, "0.5": time.Second / 2, "0": 0, "-1": 0, "null": 0, `"soon"`: 0,
	} {
		if got := TTL(scan(t, `{"to":"a:/","ttl":`+raw+`}`)); got != want {
			t.Errorf("ttl %s: %v, want %v", raw, got, want)
		}
	}
}
