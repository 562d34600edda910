package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hydrant/bus/scheme"
)

// ownPaths describes the routes of the node itself. It is compared by a test with what
// they answer.
//
//go:embed openapi.json
var ownPaths []byte

// object is an object of JSON.
type object = map[string]any

// openAPI is the document for the node's own routes and those of services that run.
// Services write what they like: what would not fit into the document is left out.
func (a *API) openAPI(ctx context.Context) (any, error) {
	r := a.catalog.current()
	if r == nil && a.node.NATS() != nil {
		var err error
		if r, err = a.catalog.ask(ctx); err != nil {
			a.node.Log.Debug("openapi.json lacks services", "error", err)
		}
	}
	var doc object
	if err := json.Unmarshal(ownPaths, &doc); err != nil {
		return nil, err
	}
	doc["info"].(object)["version"] = a.node.Version
	if r != nil {
		paths := openPaths{of: doc["paths"].(object), names: make(map[string]string)}
		for _, name := range r.running {
			paths.add(name, r.services[name])
		}
	}
	return doc, nil
}

// openPaths are the paths of the document. Two that differ in the names of what stands
// for a segment only are one.
type openPaths struct {
	of    object
	names map[string]string // the path, by itself without names
}

// openMethods are those that the document can have.
var openMethods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

// add describes the routes of a service. Of two services with the same one the first
// has it.
func (p *openPaths) add(service string, s *registrant) {
	told := describedBy(s)
	for i := range s.routes {
		route := &s.routes[i]
		if isRouters(route.Path) || route.Path == "/healthz" || route.Path == "/readyz" {
			continue // never reaches it
		}
		methods := []string{route.Method}
		if route.Method == "" {
			methods = []string{"DELETE", "GET", "PATCH", "POST", "PUT"}
		}
		path, parameters := p.place(route)
		item, _ := p.of[path].(object)
		if item == nil {
			item = object{}
		}
		for _, method := range methods {
			key := strings.ToLower(method)
			if _, there := item[key]; there || !slices.Contains(openMethods, method) {
				continue
			}
			item[key] = operation(service, method, parameters, told[route.String()])
		}
		if len(item) > 0 {
			p.of[path] = item
		}
	}
}

// place returns the path of a route in the document, and the names in it.
func (p *openPaths) place(route *scheme.Route) (path string, names []string) {
	var shape, named strings.Builder
	for _, segment := range route.Segments() {
		name, wild := scheme.Wildcard(segment)
		if !wild {
			shape.WriteString("/" + segment)
			named.WriteString("/" + segment)
			continue
		}
		if slices.Contains(names, name) {
			name = fmt.Sprint(name, len(names)+1)
		}
		names = append(names, name)
		shape.WriteString("/{}")
		named.WriteString("/{" + name + "}")
	}
	if first, there := p.names[shape.String()]; there {
		if r, err := scheme.ParseRoute(first); err == nil {
			names = names[:0]
			for _, segment := range r.Segments() {
				if name, wild := scheme.Wildcard(segment); wild {
					names = append(names, name)
				}
			}
			return first, names
		}
	}
	p.names[shape.String()] = named.String()
	return named.String(), names
}

// operation describes one method of a path.
func operation(service, method string, names []string, d scheme.Description) object {
	result := object{"description": "what the service answers"}
	if schema, ok := readSchema(d.Response); ok {
		result = schema
	}
	op := object{
		"tags": []string{service},
		"responses": object{
			"200": object{"description": "The answer of the service, in an envelope unless it makes one of HTTP.", "content": object{
				"application/json": object{"schema": object{"type": "object", "properties": object{"result": result}}}}},
			"default": object{"$ref": "#/components/responses/Service"},
		},
	}
	if d.Summary != "" {
		op["summary"] = d.Summary
	}
	if d.Text != "" {
		op["description"] = d.Text
	}
	if schema, ok := readSchema(d.Request); ok && method != "GET" && method != "HEAD" && method != "TRACE" {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": schema}}}
	}
	var parameters []object
	for _, name := range names {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	return op
}

// describedBy reads what a service says of its routes. What is wrong of it does not cost
// it the rest.
func describedBy(s *registrant) map[string]scheme.Description {
	all := make(map[string]scheme.Description)
	for _, text := range s.described {
		var part map[string]json.RawMessage
		if len(text) > scheme.MaxDescriptions || json.Unmarshal([]byte(text), &part) != nil {
			continue
		}
		for key, text := range part {
			var d scheme.Description
			if route, err := scheme.ParseRoute(key); err == nil && json.Unmarshal(text, &d) == nil {
				all[route.String()] = d
			}
		}
	}
	return all
}

// readSchema reads a JSON Schema; false: there is none.
func readSchema(text json.RawMessage) (object, bool) {
	var v any
	if len(text) == 0 || json.Unmarshal(text, &v) != nil {
		return nil, false
	}
	return cleanSchema(v)
}

// cleanSchema takes of a schema what is sure to be one: keywords that are known, with
// values of their kind. A reference could point to nothing.
func cleanSchema(v any) (object, bool) {
	in, ok := v.(object)
	if !ok {
		return nil, false
	}
	out := object{}
	for keyword, value := range in {
		if clean, ok := schemaKeyword(keyword, value); ok {
			out[keyword] = clean
		}
	}
	return out, true
}

var typeNames = []string{"null", "boolean", "object", "array", "number", "string", "integer"}

func schemaKeyword(keyword string, value any) (any, bool) {
	switch keyword {
	case "title", "description", "format":
		_, ok := value.(string)
		return value, ok
	case "type":
		name, ok := value.(string)
		return value, ok && slices.Contains(typeNames, name)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		_, ok := value.(float64)
		return value, ok
	case "minLength", "maxLength", "minItems", "maxItems":
		n, ok := value.(float64)
		return value, ok && n >= 0 && n < 1<<31 && n == float64(int(n))
	case "deprecated", "readOnly", "writeOnly", "uniqueItems":
		_, ok := value.(bool)
		return value, ok
	case "enum", "examples":
		list, ok := value.([]any)
		return value, ok && len(list) > 0
	case "const", "default":
		return value, true
	case "required":
		return texts(value)
	case "items", "additionalProperties", "not":
		return subschema(value)
	case "properties":
		return subschemas(value)
	case "oneOf", "anyOf", "allOf":
		return alternatives(value)
	}
	return nil, false
}

// subschema is a schema, or a boolean that allows all or nothing.
func subschema(value any) (any, bool) {
	if _, ok := value.(bool); ok {
		return value, true
	}
	return cleanSchema(value)
}

func subschemas(value any) (any, bool) {
	in, ok := value.(object)
	if !ok {
		return nil, false
	}
	out := object{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if clean, ok := subschema(in[name]); ok {
			out[name] = clean
		}
	}
	return out, true
}

func alternatives(value any) (any, bool) {
	list, _ := value.([]any)
	var out []any
	for _, v := range list {
		if clean, ok := subschema(v); ok {
			out = append(out, clean)
		}
	}
	return out, len(out) > 0
}

// texts is a list of texts, each once.
func texts(value any) (any, bool) {
	list, ok := value.([]any)
	seen := make(map[string]bool)
	for _, v := range list {
		text, isText := v.(string)
		if !isText || seen[text] {
			return nil, false
		}
		seen[text] = true
	}
	return value, ok
}
