package protocol

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// Every value of an enum has a word of its own, and one beyond the last has a
// text as well.
func TestWords(t *testing.T) {
	for name, test := range map[string]struct {
		n    int
		word func(int) string
	}{
		"Code":    {NumCodes, func(i int) string { return Code(i).String() }},
		"Close":   {NumCloses, func(i int) string { return Close(i).String() }},
		"Outcome": {NumOutcomes, func(i int) string { return Outcome(i).String() }},
	} {
		seen := make(map[string]bool)
		for i := range test.n + 1 {
			word := test.word(i)
			if word == "" || word == "0" || seen[word] {
				t.Errorf("%s %d is %q", name, i, word)
			}
			seen[word] = true
		}
	}
}

// RFC 6455 §7.4: what an endpoint may send, and what is left to applications.
func TestCloseNumbers(t *testing.T) {
	for c := range numCloses {
		switch n := c.Number(); {
		case n >= 4000 && n <= 4999, n == 1001, n == 1008, n == 1012, n == 1013:
		default:
			t.Errorf("%s may not be sent", c)
		}
	}
}

// TestCodesAreDocumented keeps every code that a client may get in the package's
// documentation, those that the connection layer sends among them.
func TestCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	section := func(name string) string {
		_, after, found := strings.Cut(string(text), "// # "+name+"\n")
		if !found {
			t.Fatalf("no section %s", name)
		}
		in, _, _ := strings.Cut(after, "// # ")
		return in
	}
	errors, closing, resuming := section("Errors"), section("Closing"), section("Resuming")
	for c := range numCodes {
		if !strings.Contains(errors, "//\t"+c.String()+" ") {
			t.Errorf("%s is missing", c)
		}
	}
	numbers := []int{wire.CodeProtocolError, wire.CodeInvalidData, wire.CodeTooBig, wire.CodeRate, wire.CodeSlow}
	for c := range numCloses {
		numbers = append(numbers, c.Number())
	}
	for _, n := range numbers {
		if !strings.Contains(closing, strconv.Itoa(n)) {
			t.Errorf("%d is missing", n)
		}
	}
	for _, o := range []Outcome{ResumeExpired, ResumeToken, ResumeIdentity} {
		if !strings.Contains(resuming, strconv.Quote(o.String())) {
			t.Errorf("%s is missing", o)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	if got := RetryAfter(1250 * time.Millisecond); got != "retry after 1250 ms" {
		t.Error(got)
	}
}

// TestReason: whatever the text is, what a client reads of it is there, and the frame
// can carry it.
func TestReason(t *testing.T) {
	for _, test := range []struct {
		text string
		want string
	}{
		{"", " retry=1250"},
		{"node stops", "node stops retry=1250"},
		{strings.Repeat("x", 112), strings.Repeat("x", 112) + " retry=1250"},
		{strings.Repeat("x", 200), strings.Repeat("x", 112) + " retry=1250"},
		{"x" + strings.Repeat("ü", 100), "x" + strings.Repeat("ü", 55) + " retry=1250"},
	} {
		if got := Reason(test.text, 1250*time.Millisecond); got != test.want || len(got) > 123 {
			t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
		}
	}
}

// TestWantsAccepted: only true is true.
func TestWantsAccepted(t *testing.T) {
	for headers, want := range map[string]bool{
		`{"x-ack":true}`: true, `{"a":1,"x-ack":true}`: true, `{"x-ack":false,"x-ack":true}`: true,
		`{}`: false, `{"x-ack":"true"}`: false, `{"x-ack":1}`: false, `{"X-Ack":true}`: false, `true`: false, `{"x-ack":true,"x-ack":false}`: false,
	} {
		var e umf.Envelope
		if err := umf.Scan([]byte(`{"to":"a:/","frm":"b:/","bdy":1,"hdr":`+headers+`}`), &e); err != nil {
			t.Fatal(err)
		}
		if got := WantsAccepted(&e); got != want {
			t.Errorf("%s: %v", headers, got)
		}
	}
}

func TestQuote(t *testing.T) {
	long := make([]byte, 2*maxQuote)
	for i := range long {
		long[i] = 'x'
	}
	for in, want := range map[string]string{
		"plain":           "plain",
		"a\nb\x1b[31mc":   "a.b.[31mc",
		"\xc3\xbc \xc3":   "ü .",
		"\x00\x7f\u2028x": ".." + "\u2028x",
		string(long):      string(long[:maxQuote]),
	} {
		if got := Quote([]byte(in)); got != want {
			t.Errorf("Quote(%q) = %q, want %q", in, got, want)
		}
	}
}
