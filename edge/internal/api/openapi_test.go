package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
)

// validate is what a library says of a document; nil: not asked, see
// openapi_valid_test.go.
var validate func(t *testing.T, text string)

// document is the OpenAPI document of a node, and its text.
func document(t *testing.T, a *API) (doc object, text string) {
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
	if validate != nil {
		validate(t, got.body)
	}
	return doc, got.body
}

// TestOpenAPIOfTheNode: the document has each route of the node, and no other, and is
// what a library takes for OpenAPI 3.1 (where it is asked).
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
