package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// postTo performs a POST and returns the status and the envelope's result.
func postTo(t *testing.T, node *harness.Node, path, body string) (int, message) {
	t.Helper()
	status, e, _ := fetch(t, "POST", node.HTTP("/v1/router/"+path), body, http.Header{"Content-Type": {"application/json"}})
	m, _ := harness.Parse(e.Result) // none: no fields
	return status, m
}

// Hydra: POST /v1/router/send, 200 with the mid.
func TestPostSend(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	s, c := w.Serve(t, world.Unique(t)), world.Dial(t, w.Node(t, "b"))
	status, result := postTo(t, node, "send", fmt.Sprintf(`{"to":"%s:/p","from":"web:/","mid":"p-1","body":{"n":9007199254740993}}`, s.Name))
	if status != http.StatusOK || result.Mid() != "p-1" {
		t.Errorf("status %d, result %s", status, result.Raw)
	}
	_, m := s.Next()
	world.Want(t, m, "frm", "web:/", "mid", "p-1")
	if m.Body() != `{"n":9007199254740993}` {
		t.Errorf("body %s", m.Body())
	}

	// To a session, which may be away; and what was sent without a mid has one.
	c.Close()
	w.WaitParked(t, c.ID)
	status, result = postTo(t, node, "send", `{"to":"`+c.Address()+`","frm":"web:/","bdy":"hello"}`)
	if status != http.StatusOK || result.Mid() == "" {
		t.Errorf("status %d, result %s", status, result.Raw)
	}
	world.Want(t, c.Resume(w.Node(t, "b")).Next(), "frm", "web:/", "bdy", "hello", "mid", result.Mid())
	if status, _ := postTo(t, node, "send", `{"to":"`+strings.Repeat("q7", 13)+`@client:/","frm":"web:/","bdy":1}`); status != http.StatusNotFound {
		t.Errorf("to a session that there is not: status %d, want 404", status)
	}
}

// Hydra: POST /v1/router/queue.
func TestPostQueue(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name, node := world.Unique(t), w.Node(t, "a") // which makes the stream
	w.RegisterQueue(t, name)
	status, result := postTo(t, node, "queue", fmt.Sprintf(`{"to":"%s:/job","frm":"web:/","bdy":{"n":1}}`, name))
	if status != http.StatusOK || result.Mid() == "" {
		t.Errorf("status %d, result %s", status, result.Raw)
	}
	stream, err := w.JS.Stream(t.Context(), "UMF_WORK")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), "umf.v1.work."+name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := harness.Parse(stored.Data)
	if err != nil {
		t.Fatal(err)
	}
	world.Want(t, m, "frm", "web:/", "mid", result.Mid())
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("umf.v1.work."+name)); err != nil {
		t.Error(err)
	}
}

// Hydra: POST /v1/router/message waits for the answer of the service.
func TestPostMessage(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	s := w.Serve(t, world.Unique(t))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		select {
		case request := <-s.Requests:
			_ = request.Respond([]byte(`{"to":"web:/","frm":"i@s:/","mid":"a","bdy":{"answer":42}}`))
		case <-t.Context().Done():
		}
	}()
	status, result := postTo(t, w.Node(t, "a"), "message",
		fmt.Sprintf(`{"to":"hydra-router:/","forward":"%s:[get]/p","frm":"web:/","bdy":{}}`, s.Name))
	<-answered
	if status != http.StatusOK || string(result.Fields["answer"]) != "42" {
		t.Errorf("status %d, result %s", status, result.Raw)
	}
	if status, _ := postTo(t, w.Node(t, "a"), "message", `{"to":"nosuch:[get]/p","frm":"web:/","bdy":{}}`); status < 500 {
		t.Errorf("nobody there: status %d", status)
	}
}

// Hydra: bad JSON or no to: 400. Nothing reaches NATS.
func TestPostInvalid(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	for _, path := range []string{"send", "queue", "message"} {
		for _, body := range []string{
			``, `{`, `null`, `[]`, `"x"`, `{}`, `{"frm":"web:/","bdy":1}`, `{"to":1,"frm":"web:/","bdy":1}`, `{"to":"svc:/","frm":"web:/"}`,
			`{"to":"*:/","frm":"web:/","bdy":1}`, `{"to":">:/","frm":"web:/","bdy":1}`, `{"to":"a.b:/","frm":"web:/","bdy":1}`,
			`{"to":"svc","frm":"web:/","bdy":1}`, strings.Repeat("[", 200_000),
		} {
			if status, _ := postTo(t, node, path, body); status != http.StatusBadRequest {
				t.Errorf("%s %.60q: status %d, want 400", path, body, status)
			}
		}
		large := `{"to":"svc:/","frm":"web:/","bdy":"` + strings.Repeat("x", 1<<20+32<<10) + `"}`
		if status, _ := postTo(t, node, path, large); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s of more than 1 MiB: status %d, want 413", path, status)
		}
	}
}
