//go:build openapi

// These tests ask a library, which takes minutes to compile where nothing of it is cached:
//
//	go test -tags openapi -run OpenAPI ./edge/internal/api

package api

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
)

func init() {
	validate = func(t *testing.T, text string) { t.Helper(); validatorOf(t, text) }
}

// validatorOf fails the test if the library takes the text for no OpenAPI document.
func validatorOf(t *testing.T, text string) validator.Validator {
	t.Helper()
	parsed, err := libopenapi.NewDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, wrong := v.ValidateDocument(); !ok {
		t.Fatalf("it is no OpenAPI document: %s", reasons(wrong))
	}
	return v
}

func reasons(list []*errors.ValidationError) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s: %s\n", e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			fmt.Fprintf(&b, "\t%s at %s\n", s.Reason, s.KeywordLocation)
		}
	}
	return b.String()
}

// TestOpenAPIIsAnswered: what the routes answer is what the document says, members,
// types and statuses, for who may and for who may not.
func TestOpenAPIIsAnswered(t *testing.T) {
	n, a := newGateway(t, func(n *fakeNode) {
		n.Config.AdminToken = testToken
		n.nats.nodes = []discovery.Instance{{Service: "hydra-router", ID: string(testNode), Host: "h", ProcessID: 1, IP: "::1", Port: "1", Heard: heard}}
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Node: testNode, State: scheme.StateLive}}
	})
	_, text := document(t, a)
	v := validatorOf(t, text)
	n.ClientLog.Add("short", netip.MustParseAddr("192.0.2.7"), []byte(`{"a":1}`))
	check := func(method, path, body, token string, change func()) {
		t.Helper()
		if change != nil {
			change()
		}
		r := httptest.NewRequest(method, "http://example.com"+path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		a.Public().ServeHTTP(w, r)
		again := httptest.NewRequest(method, "http://example.com"+path, strings.NewReader(body))
		again.Header = r.Header
		if ok, wrong := v.ValidateHttpResponse(again, w.Result()); !ok {
			t.Errorf("%s %s: %d %.300s\n%s", method, path, w.Code, w.Body, reasons(wrong))
		}
	}
	paths := []string{"/healthz", "/readyz", prefix + "refresh/echo"}
	for name := range routes {
		paths = append(paths, prefix+name)
	}
	for _, path := range paths {
		for _, token := range []string{testToken, ""} {
			check("GET", path, "", token, nil)
		}
	}
	for range 12 { // and then too many
		check("GET", prefix+"log", "", "wrong", nil)
	}
	message := `{"to":"echo:[get]/x","frm":"web:/","bdy":{}}`
	for name := range posts {
		path := prefix + name
		check("POST", path, message, "", nil)
		check("POST", path, "{", "", nil)
		check("POST", path, `{"to":"*:/","frm":"web:/","bdy":{}}`, "", nil)
		check("POST", path, `{"to":"`+string(testSID)+`@client:/","frm":"web:/","bdy":{}}`, "", nil)
		check("POST", path, `{"to":"x","bdy":"`+long(1<<20)+`"}`, "", nil)
	}
	check("POST", prefix+"message", message, "", func() {
		n.nats.services = func(*nats.Msg) (*nats.Msg, error) { return nil, nats.ErrNoResponders }
	})
	check("POST", prefix+"message", message, "", func() {
		n.nats.services = func(*nats.Msg) (*nats.Msg, error) {
			return &nats.Msg{Header: nats.Header{"Nats-Service-Error": {"no"}, "Nats-Service-Error-Code": {"409"}}}, nil
		}
	})
	n.connected = false
	check("POST", prefix+"send", message, "", nil)
	n.serving = false
	for _, name := range []string{"list/nodes", "list/services", "list/routes", "list/wsdir"} {
		check("GET", prefix+name, "", testToken, nil)
	}
	n.reasons = map[string]string{"nats": "gone"}
	check("GET", "/readyz", "", "", nil)
}
