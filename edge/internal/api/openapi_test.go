package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
)

// document is the OpenAPI document of a node, as it is and for a library.
func document(t *testing.T, a *API) (doc object, v validator.Validator) {
	t.Helper()
	if _, err := a.catalog.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := ask(t, a.Public(), "GET", prefix+"openapi.json", "", nil)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument([]byte(got.body))
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
	return doc, v
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

// TestOpenAPIOfTheNode: the document has each route of the node, and no other, and is
// what a library takes for OpenAPI 3.1.
func TestOpenAPIOfTheNode(t *testing.T) {
	_, a := newNode(t, nil)
	doc, _ := document(t, a)
	if doc["openapi"] != "3.1.0" || doc["info"].(object)["version"] != "1.2.3" {
		t.Errorf("%v, %v", doc["openapi"], doc["info"])
	}
	want := []string{"/healthz", "/readyz", prefix + "refresh/{service}"}
	for name := range routes {
		want = append(want, prefix+name)
	}
	for name := range posts {
		want = append(want, prefix+name)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(doc["paths"].(object))); !slices.Equal(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}

// TestOpenAPIIsAnswered: what the routes answer is what the document says, members,
// types and statuses, for who may and for who may not.
func TestOpenAPIIsAnswered(t *testing.T) {
	n, a := newGateway(t, func(n *fakeNode) {
		n.Config.AdminToken = testToken
		n.nats.nodes = []discovery.Instance{{Service: "hydra-router", ID: string(testNode), Host: "h", ProcessID: 1, IP: "::1", Port: "1", Heard: heard}}
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {Node: testNode, State: scheme.StateLive}}
	})
	_, v := document(t, a)
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

// TestOpenAPIOfServices: the document has the routes of services, with what these say of
// them, and stays one whatever they say.
func TestOpenAPIOfServices(t *testing.T) {
	described := `{"[GET]/v1/user/{id}":{"summary":"One user","description":"More of it","response":{"type":"object","properties":{"id":{"type":"string"},"list":{"type":"array","items":{"enum":[1]}}},"required":["id"]}},
		"[POST]/v1/user":{"summary":"A new one","request":{"oneOf":[{"type":"object"},true]}},
		"[PUT]/v1/user":{"summary":7},"nonsense":{"summary":"x"}}`
	wild := `{"[POST]/v1/wild":{"request":{"$ref":"#/nowhere","type":5,"required":[1],"minimum":"x","minLength":-1,"properties":{"a":7,"b":{"items":"x","enum":[]}},"oneOf":[],"anyOf":["x"],"$schema":"gopher://x"},"response":[1]},
		"/v1/any":{"response":{"allOf":[{"type":["object"]}],"additionalProperties":false,"unknown":1}}}`
	_, a := newNode(t, func(n *fakeNode) {
		n.nats.instances = []discovery.Instance{
			{Service: "users", ID: "a", Routes: []string{"[GET]/v1/user/{id}", "[post]/v1/user", "[GET]/v1/:x/more/{x}", "[M-SEARCH]/odd"}, Described: []string{described, "{", `[1]`}},
			{Service: "wild", ID: "b", Routes: []string{
				"[GET]/v1/user/{other}", "[DELETE]/v1/user/{number}", "[POST]/v1/wild", "/v1/any", "[GET]/v1/router/version", "[POST]/healthz", "[GET]/a{b", "[GET]/w/{a~b/c}", "[GET]/w/{a~b}",
			}, Described: []string{wild, `{"` + long(scheme.MaxDescriptions) + `":{}}`}},
		}
	})
	doc, _ := document(t, a)
	paths := doc["paths"].(object)
	at := func(path, method string) object {
		t.Helper()
		item, _ := paths[path].(object)
		op, _ := item[method].(object)
		if op == nil {
			t.Errorf("no %s %s", method, path)
		}
		return op
	}
	if op := at("/v1/user/{id}", "get"); op["summary"] != "One user" || op["description"] != "More of it" || fmt.Sprint(op["tags"]) != "[users]" {
		t.Errorf("%v", op)
	} else if text, _ := json.Marshal(op); !strings.Contains(string(text), `"required":["id"]`) || !strings.Contains(string(text), `"name":"id"`) {
		t.Errorf("%s", text)
	}
	if op := at("/v1/user", "post"); op["requestBody"] == nil {
		t.Errorf("%v", op)
	}
	if op := at("/v1/user/{id}", "delete"); fmt.Sprint(op["tags"]) != "[wild]" {
		t.Errorf("%v", op)
	}
	at("/v1/{x}/more/{x2}", "get")
	for _, method := range []string{"get", "post", "put", "delete", "patch"} {
		at("/v1/any", method)
	}
	if len(paths["/healthz"].(object)) != 1 || paths["/odd"] != nil || paths["/v1/user/{other}"] != nil {
		t.Errorf("%v", slices.Sorted(maps.Keys(paths)))
	}
	if text, _ := json.Marshal(paths); strings.Contains(string(text), "nowhere") || strings.Contains(string(text), "gopher") {
		t.Errorf("%s", text)
	}
}
