package world

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"hydrant/integration/harness"
)

// An AnswerCase is one of bus/testdata/answers.json: what a handler does, and what its
// callers get. Services in whatever language take the name of a case in the path of
// [GET]/v1/answers/{name}, or in the body of a message, {"case":name}, and do it.
type AnswerCase struct {
	Name string           `json:"name"`
	Do   []map[string]any `json:"do"`
	// Unhandled: it is asked of a service that has no handler for it.
	Unhandled bool `json:"unhandled"`
	// Late: it is asked by way of a node that does not wait for long.
	Late bool `json:"late"`

	// What a client gets: to a message (Message, if it is another one than to a request),
	// and what comes later; to a request; and over HTTP: in the usual envelope, unless
	// there is another body of JSON, or a text.
	Body    json.RawMessage   `json:"body"`
	Message json.RawMessage   `json:"message"`
	Then    []json.RawMessage `json:"then"`
	Type    string            `json:"type"`
	Headers map[string]any    `json:"headers"`
	Status  int               `json:"status"`
	HTTP    json.RawMessage   `json:"http"`
	Text    *string           `json:"text"`
	Fields  map[string]string `json:"fields"`
}

// AnswersFile is the path of the cases.
func AnswersFile(t *testing.T) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "bus", "testdata", "answers.json")
}

// Answers are all cases.
func Answers(t *testing.T) (cases []AnswerCase) {
	t.Helper()
	text, err := os.ReadFile(AnswersFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// CheckAnswers asks a service for all cases: by messages and requests over a WebSocket,
// and over HTTP. handled does them, and the other service has no handler but for
// [GET]/v1/handled. impatient is a node that waits for answers for a moment only.
func CheckAnswers(t *testing.T, node, impatient *harness.Node, handled, other string) {
	t.Helper()
	for _, c := range Answers(t) {
		t.Run(c.Name, func(t *testing.T) {
			n, service := node, handled
			if c.Late {
				n = impatient
			}
			if c.Unhandled {
				service = other
			}
			c.byMessage(t, n, service)
			c.byRequest(t, n, service)
			c.byHTTP(t, n, service)
		})
	}
}

func (c *AnswerCase) byMessage(t *testing.T, node *harness.Node, service string) {
	want := c.Message
	if want == nil {
		want = c.Body
	}
	client := Dial(t, node)
	message := harness.Object{"to": service + ":/answers", "typ": "question", "bdy": harness.Object{"case": c.Name}}
	if c.Late {
		message["tmo"] = 0.2
	}
	if c.Late && len(c.Do) == 0 {
		client.Send(message) // and nothing comes: see what does to the next one
		c.quiet(t, client, service)
		return
	}
	mid := client.Send(message)
	for i, want := range append([]json.RawMessage{want}, c.Then...) {
		m := client.Answer(mid)
		same(t, fmt.Sprintf("answer %d to a message", i), decoded(t, m.Fields["bdy"]), want)
		wantType := c.Type
		if wantType == "" {
			wantType = "question"
		}
		if m.Type() != wantType {
			t.Errorf("type %q, want %q: %s", m.Type(), wantType, m.Raw)
		}
		if headers, _ := decoded(t, m.Fields["hdr"]).(map[string]any); c.Headers != nil && !reflect.DeepEqual(headers, c.Headers) {
			t.Errorf("headers %v: %s", headers, m.Raw)
		}
		if !hasForm(m.From(), service) {
			t.Errorf("from %q", m.From())
		}
	}
	c.quiet(t, client, service)
}

// quiet: nothing more comes for the case. Messages of one session are handled in order, so
// what there is comes before the answer to the next one.
func (c *AnswerCase) quiet(t *testing.T, client *Client, service string) {
	mid := client.Send(harness.Object{"to": service + ":/answers", "bdy": harness.Object{"case": "zero"}})
	if m := client.Next(); m.Rmid() != mid {
		t.Errorf("more came: %s", m.Raw)
	}
}

// hasForm reports whether from is <instance>@<service>:/answers.
func hasForm(from, service string) bool {
	end := "@" + service + ":/answers"
	return len(from) > len(end) && from[len(from)-len(end):] == end
}

func (c *AnswerCase) byRequest(t *testing.T, node *harness.Node, service string) {
	client := Dial(t, node)
	to := service + ":[GET]/v1/answers/" + c.Name
	m := client.Call(harness.Object{"to": to, "bdy": harness.Object{}})
	got := decoded(t, m.Fields["bdy"])
	if body, ok := got.(map[string]any); ok && c.Late {
		delete(body, "retry") // how long that is is no service's matter
	}
	same(t, "answer to a request", got, c.Body)
	if m.From() != to {
		t.Errorf("from %q, want %q", m.From(), to)
	}
}

func (c *AnswerCase) byHTTP(t *testing.T, node *harness.Node, service string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.HTTP("/"+service+"/v1/answers/"+c.Name), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, body, err := harness.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	status := c.Status
	if status == 0 {
		status = http.StatusOK
	}
	if response.StatusCode != status {
		t.Errorf("status %d, want %d: %s", response.StatusCode, status, body)
	}
	for name, value := range c.Fields {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if c.Text != nil {
		if string(body) != *c.Text {
			t.Errorf("over HTTP %q, want %q", body, *c.Text)
		}
		return
	}
	want := c.HTTP
	if want == nil {
		want = json.RawMessage(`{"statusCode":200,"statusMessage":"OK","statusDescription":"Request succeeded without error","result":` + string(c.Body) + `}`)
	}
	same(t, "over HTTP", decoded(t, body), want)
}

// decoded is JSON as a value; nil for nothing.
func decoded(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return v
}

func same(t *testing.T, what string, got any, want json.RawMessage) {
	t.Helper()
	v := decoded(t, want)
	if !reflect.DeepEqual(got, v) {
		t.Errorf("%s: %v, want %s", what, got, want)
	}
}
