package integration

import (
	"fmt"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

const (
	invalidPrefix = "HR: Invalid UMF message: "
	invalidSuffix = " closing connection"
)

// bystander is a client that must not notice what happens to others (I7).
func bystander(t *testing.T, node *harness.Node) *world.Client {
	t.Helper()
	c := world.Dial(t, node)
	t.Cleanup(func() {
		if !t.Failed() {
			c.Fence()
		}
	})
	return c
}

// Hydra answers what is no message with an error, and closes. P24.
func TestInvalidMessages(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	bystander(t, node)
	good := `{"to":"nosuch:/","frm":"client:/","bdy":1}`
	for _, text := range []string{
		`not JSON`, `null`, `""`, ``, ` `, `{`, `{"to":"a:/"`, `{"to":"a:/","frm":"b:/","bdy":}`, `{'to':1}`, `{"to":"a:/",}`,
		"\ufeff" + good, good + "\x00", "\x00" + good, good + good, good + " x", good + "]",
		`{"to":"a:/","frm":"b:/","bdy":"` + "\x01" + `"}`, `{"to":"a:/","frm":"b:/","bdy":01}`, `{"to":"a:/","frm":"b:/","bdy":.5}`,
		`{"to":"a:/","frm":"b:/","bdy":"\x"}`, `{"to":"a:/","frm":"b:/","bdy":NaN}`, `{"to":"a:/","frm":"b:/","bdy":"\u12g4"}`,
		// JSON, but not an object.
		`[]`, `[1]`, `42`, `true`, `"text"`, `"` + strings.Repeat("é", 5000) + `"`,
		// to, from or body missing, or nothing.
		`{}`, `{"frm":"b:/","bdy":1}`, `{"to":"a:/","bdy":1}`, `{"to":"a:/","frm":"b:/"}`,
		`{"to":null,"frm":"b:/","bdy":1}`, `{"to":"","frm":"b:/","bdy":1}`, `{"to":0,"frm":"b:/","bdy":1}`, `{"to":false,"frm":"b:/","bdy":1}`,
		`{"to":"a:/","frm":null,"bdy":1}`, `{"to":"a:/","frm":"","bdy":1}`, `{"to":"a:/","frm":0,"bdy":1}`, `{"to":"a:/","frm":false,"bdy":1}`,
		`{"to":"a:/","frm":"b:/","bdy":null}`, `{"to":"a:/","frm":"b:/","bdy":""}`, `{"to":"a:/","frm":"b:/","bdy":0}`,
		`{"to":"a:/","frm":"b:/","bdy":false}`, `{"to":"a:/","frm":"b:/","bdy":-0.0e7}`,
		// Of equal keys the last counts.
		`{"to":"a:/","frm":"b:/","bdy":1,"bdy":0}`,
		// Keys are case-sensitive.
		`{"TO":"a:/","frm":"b:/","bdy":1}`, `{"to":"a:/","From":"b:/","bdy":1}`,
	} {
		c := world.Dial(t, node)
		c.Send(text)
		m := c.WantErrorAndClose(invalidPrefix, invalidSuffix)
		if quoted := len(m.Error()) - len(invalidPrefix) - len(invalidSuffix); quoted > 600 {
			t.Errorf("the error quotes %d bytes of the input, want at most 256 of its own", quoted)
		}
	}
}

// These messages end the whole process of Hydra Router. P17, P22.
func TestMessagesThatKilledTheOriginal(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	bystander(t, node)
	for _, value := range []string{`17`, `{}`, `{"a":1}`, `[]`, `["a:/"]`, `true`} {
		for _, form := range []string{
			`{"to":%s,"frm":"client:/","mid":"k","bdy":1}`,
			`{"to":"nosuch:/","frm":%s,"mid":"k","bdy":1}`,
			`{"to":"hydra-router:/","frm":"client:/","mid":"k","fwd":%s,"bdy":1}`,
			`{"to":"hydra-router:/","frm":"client:/","mid":"k","forward":%s,"bdy":1}`,
			`{"to":"hydra-router:/queue","frm":"client:/","mid":"k","fwd":%s,"bdy":1}`,
		} {
			c := world.Dial(t, node)
			c.Send(fmt.Sprintf(form, value))
			c.WantErrorAndClose("", "")
		}
	}
	for _, fwd := range []string{"constructor@client:/", "__proto__@client:/", "hasOwnProperty@client:/"} {
		c := world.Dial(t, node)
		c.Send(object{"to": "hydra-router:/", "fwd": fwd, "bdy": 1})
		c.WantErrorAndClose("", "")
	}
	for _, open := range []string{"[", `{"a":`} {
		c := world.Dial(t, node)
		c.Send(`{"to":"a:/","frm":"b:/","bdy":` + strings.Repeat(open, 150_000))
		c.WantErrorAndClose(invalidPrefix, invalidSuffix)
		c = world.Dial(t, node)
		c.Send(`{"to":"a:/","frm":"b:/","x":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `,"bdy":1}`)
		c.WantErrorAndClose(invalidPrefix, invalidSuffix)
	}
}

// P17: 64 levels are a message, more are not.
func TestDepth(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	deep := func(levels int) string { // the message itself is one
		body := strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1)
		return fmt.Sprintf(`{"to":"%s:/","frm":"client:/","bdy":%s}`, s.Name, body)
	}
	c.Send(deep(60))
	s.Next()
	c.Send(deep(70))
	c.WantErrorAndClose(invalidPrefix, invalidSuffix)
	s.Empty()
}

// P18: one reading everywhere.
func TestKeysThatAreThereTwice(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	right, wrong := w.Serve(t, world.Unique(t)), w.Serve(t, world.Unique(t)+"-wrong")
	for name, form := range map[string]string{
		"long and short":           `{"frm":"%[3]s","to":"%[1]s:/","from":"%[4]s","bdy":"no","body":"yes"}`,
		"short after long":         `{"to":"%[1]s:/","from":"%[4]s","frm":"%[3]s","body":"yes","bdy":"no"}`,
		"the last counts":          `{"to":"%[2]s:/","frm":"%[3]s","bdy":"no","to":"%[1]s:/","frm":"%[4]s","bdy":"yes"}`,
		"the last long one counts": `{"to":"%[1]s:/","from":"%[3]s","body":"no","from":"%[4]s","body":"yes","bdy":"no"}`,
		"escaped":                  `{"to":"%[2]s:/","\u0074o":"%[1]s:/","from":"%[3]s","f\u0072om":"%[4]s","bdy":"no","b\u006fdy":"yes"}`,
		"null does not hide":       `{"to":"%[2]s:/","to":"%[1]s:/","frm":"%[4]s","bdy":null,"bdy":"yes"}`,
	} {
		c.Send(fmt.Sprintf(form, right.Name, wrong.Name, "wrong@client:/", "right@client:/"))
		request, m := right.Next() // Parse has seen that no key is there twice
		world.Want(t, m, "frm", "right@client:/", "bdy", "yes")
		for _, key := range []string{"from", "body"} {
			if _, both := m.Fields[key]; both {
				t.Errorf("%s: both forms go on: %s", name, request.Data)
			}
		}
	}
	c.Quiet()
	c.Send(fmt.Sprintf(`{"to":"%s:/","TO":"%s:/","frm":"client:/","mid":"other case","bdy":"yes"}`, right.Name, wrong.Name))
	world.Want(t, c.Next(), "rmid", "other case", "typ", "error") // receivers that ignore case would read it in another way
	c.Fence()
	right.Empty()
	wrong.Empty()
}

// Hydra: 1 MiB, then 1009.
func TestMessageSize(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	bystander(t, node)
	s := w.Serve(t, world.Unique(t))
	sized := func(size int) string {
		text := fmt.Sprintf(`{"to":"%s:/","frm":"client:/","mid":"big","bdy":""}`, s.Name)
		return text[:len(text)-2] + strings.Repeat("x", size-len(text)) + text[len(text)-2:]
	}
	c := world.Dial(t, node)
	c.Send(sized(1<<20 - 4096)) // NATS itself takes 1 MiB here
	if _, m := s.Next(); len(m.Body()) < 1<<20-8192 {
		t.Errorf("the body arrives with %d bytes", len(m.Body()))
	}
	_ = c.Client.Send(sized(1<<20 + 32<<10 + 1)) // the server may close before it has all
	if code, reason := c.Closed(); code != 1009 {
		t.Errorf("closed with %d %s, want 1009", code, reason)
	}
	s.Empty()
}

// RFC 6455 §8.1 and P6: 1007.
func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	for _, text := range []string{"\xff", `{"to":"a:/","frm":"b:/","bdy":"` + "\xc3(" + `"}`, "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf"} {
		raw, err := harness.DialRaw(node.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Upgrade(harness.TextFrame(text)); err != nil {
			t.Fatal(err)
		}
		if code := closeCode(t, raw); code != 1007 {
			t.Errorf("%q: closed with %d, want 1007", text, code)
		}
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A binary frame is not checked by RFC 6455, but it is no message either.
func TestBinaryThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	if err := c.SendBinary(`{"to":"a:/","frm":"b:/","bdy":"` + "\xc3(" + `"}`); err != nil {
		t.Fatal(err)
	}
	c.WantErrorAndClose(invalidPrefix, invalidSuffix)
}

// closeCode reads frames up to the close frame.
func closeCode(t *testing.T, raw *harness.Raw) int {
	t.Helper()
	for {
		frame, err := raw.ReadFrame()
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if frame.Opcode == harness.OpClose {
			code, _ := frame.CloseCode()
			return code
		}
	}
}
