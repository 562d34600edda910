package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// kitService runs a service of the kit.
func kitService(t *testing.T, w *world.World, name string, register func(*bus.Service) error) {
	t.Helper()
	nc, err := w.NATS.Connect(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(register(s), s.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // the connection may be closed already
}

// byPath performs a request.
func byPath(t *testing.T, method, url string, body io.Reader, header http.Header) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, raw, err := harness.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response, raw
}

// there waits until a node knows a path that a service has registered: it then says which
// methods that has, and says nothing of others. It waits for a service that it does not
// know only for as long as others tell of themselves without a pause, so that it may take
// more than one question to find a busy one.
func there(t *testing.T, url string) string {
	t.Helper()
	if err := harness.Until(world.Patient(t), func() error {
		if response, raw := byPath(t, "OPTIONS", url, nil, nil); response.Header.Get("Allow") == "" {
			return fmt.Errorf("%s: %d %s", url, response.StatusCode, raw)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return url
}

// TestByPathOneHandler: one handler answers a WebSocket's [GET]/path and GET /path of
// HTTP. It is found by HTTP when it runs, and its path with and without the name.
func TestByPathOneHandler(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name, node := world.Unique(t), w.Node(t, "a")
	if err := harness.Until(world.Patient(t), func() error { // 503 where no answers come in time
		if response, _ := byPath(t, "GET", node.HTTP("/v1/"+name+"/7"), nil, nil); response.StatusCode != http.StatusNotFound {
			return fmt.Errorf("before it runs: %d", response.StatusCode)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	kitService(t, w, name, func(s *bus.Service) error {
		get := func(ctx context.Context, r *bus.Request) error {
			if r.PathValue("id") == "0" {
				return &bus.Failure{Code: "not_found", Text: "There is no 0"}
			}
			return r.Reply(ctx, map[string]string{"id": r.PathValue("id"), "q": r.Query().Get("q"), "accept": r.HeaderValue("accept"), "aut": r.Message.Authorization})
		}
		post := func(ctx context.Context, r *bus.Request) error {
			kind, body, err := r.Content()
			if err != nil {
				return err
			}
			return r.Respond(ctx, bus.Response{Status: 201, ContentType: kind, Header: map[string]string{"Location": "/there"}, Body: body})
		}
		return errors.Join(s.HandleMethod("GET", "/v1/"+name+"/{id}", get), s.HandleMethod("POST", "/v1/"+name, post))
	})
	c := world.Dial(t, node)
	m := c.Call(object{"to": name + ":[get]/v1/" + name + "/7?q=a%20b", "hdr": object{"accept": "text/x"}, "aut": "Bearer x", "bdy": object{}})
	const want = `{"accept":"text/x","aut":"Bearer x","id":"7","q":"a b"}`
	if m.Body() != want {
		t.Errorf("over WebSocket: %s", m.Raw)
	}
	for _, prefix := range []string{"", "/" + name} {
		response, raw := byPath(t, "GET", there(t, node.HTTP(prefix+"/v1/"+name+"/7?q=a%20b")), nil, http.Header{"Accept": {"text/x"}, "Authorization": {"Bearer x"}})
		var e envelope
		if err := json.Unmarshal(raw, &e); err != nil || response.StatusCode != http.StatusOK || string(e.Result) != want || e.StatusDescription != "Request succeeded without error" {
			t.Errorf("over HTTP: %d %s", response.StatusCode, raw)
		}
	}
	response, raw := byPath(t, "GET", node.HTTP("/v1/"+name+"/0"), nil, nil)
	if response.StatusCode != http.StatusNotFound || !strings.Contains(string(raw), `"result":{"reason":"There is no 0","code":"not_found"}`) {
		t.Errorf("a failure: %d %s", response.StatusCode, raw)
	}
	if response, _ := byPath(t, "PUT", node.HTTP("/v1/"+name), nil, nil); response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("PUT: %d %v", response.StatusCode, response.Header)
	}
	if m := c.Call(object{"to": name + ":[POST]/v1/" + name, "bdy": object{"n": 1}}); m.Body() != `{"n":1}` {
		t.Errorf("an answer of HTTP over WebSocket: %s", m.Raw)
	}
}

// TestByPathBodies: bodies of all kinds come back byte by byte, with and without a
// length that was told before.
func TestByPathBodies(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name, node := world.Unique(t), w.Node(t, "a")
	kitService(t, w, name, func(s *bus.Service) error {
		return s.HandleMethod("PUT", "/"+name, func(ctx context.Context, r *bus.Request) error {
			kind, body, err := r.Content()
			if err != nil {
				return err
			}
			return r.Respond(ctx, bus.Response{ContentType: kind, Body: body})
		})
	})
	url := there(t, node.HTTP("/"+name))
	binary := make([]byte, 512<<10)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	for kind, body := range map[string][]byte{
		"application/octet-stream": binary, "text/plain": []byte("h\u00e9llo"), "application/json": []byte(`{"n":12345678901234567890,"n":1.0}`),
		"application/merge-patch+json": []byte("null"), "application/x-json-large": bytes.Repeat([]byte(`"x",`), 128<<10),
	} {
		for _, chunked := range []bool{false, true} {
			reader := io.Reader(bytes.NewReader(body))
			if chunked {
				reader = io.MultiReader(reader) // of a kind whose length Go does not know
			}
			response, raw := byPath(t, "PUT", url, reader, http.Header{"Content-Type": {kind}})
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != kind || !bytes.Equal(raw, body) {
				t.Errorf("%s of %d bytes, chunked %v: %d, %s of %d bytes", kind, len(body), chunked, response.StatusCode, response.Header.Get("Content-Type"), len(raw))
			}
		}
	}
	for _, chunked := range []bool{false, true} {
		reader := io.Reader(bytes.NewReader(make([]byte, 1<<20+1)))
		if chunked {
			reader = io.MultiReader(reader)
		}
		if response, raw := byPath(t, "PUT", url, reader, nil); response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("more than EDGE_MAX_MESSAGE, chunked %v: %d %s", chunked, response.StatusCode, raw)
		}
	}
}

// TestByPathPlainService: a service of NATS' own framework, in any language, registers
// its paths in the metadata of an endpoint, and answers in HTTP's words by headers.
func TestByPathPlainService(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name, node := world.Unique(t), w.Node(t, "a")
	heard := make(chan []byte, 16)
	silent := make(chan struct{})
	service, err := micro.AddService(w.Conn, micro.Config{Name: name, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(r micro.Request) {
		heard <- r.Data()
		var m struct {
			To  string
			Hdr map[string]string
		}
		if err := json.Unmarshal(r.Data(), &m); err != nil {
			t.Error(err)
		}
		status, body := "200", "hello"
		switch {
		case strings.HasSuffix(m.To, "/silent"):
			close(silent)
			return
		case m.Hdr["if-none-match"] == `"v1"`:
			status, body = "304", ""
		case m.Hdr["range"] == "bytes=0-1":
			status, body = "206", "he"
		}
		_ = r.Respond([]byte(body), micro.WithHeaders(micro.Headers{"Umf-Status": {status}, "Content-Type": {"text/x"}, "ETag": {`"v1"`}}))
	}
	err = service.AddEndpoint("all", micro.HandlerFunc(answer), micro.WithEndpointSubject("umf.v1.svc."+name), micro.WithEndpointMetadata(map[string]string{
		"umf.route": "[get]/" + name + "/file, [get]/" + name + "/silent"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Conn.Flush(); err != nil { // or a question may come before the service listens
		t.Fatal(err)
	}
	url := there(t, node.HTTP("/"+name+"/file"))
	for _, test := range []struct {
		method string
		header http.Header
		status int
		body   string
	}{
		{"GET", nil, 200, "hello"}, {"HEAD", nil, 200, ""}, {"GET", http.Header{"If-None-Match": {`"v1"`}}, 304, ""}, {"GET", http.Header{"Range": {"bytes=0-1"}}, 206, "he"},
	} {
		response, raw := byPath(t, test.method, url, nil, test.header)
		if response.StatusCode != test.status || string(raw) != test.body || response.Header.Get("ETag") != `"v1"` || test.method == "HEAD" && response.ContentLength != 5 {
			t.Fatalf("%s %v: %d %q %v", test.method, test.header, response.StatusCode, raw, response.Header)
		}
		<-heard
	}
	if response, raw := byPath(t, "GET", there(t, w.Node(t, "tuned").HTTP("/"+name+"/silent")), nil, nil); response.StatusCode != http.StatusGatewayTimeout {
		t.Fatalf("no answer: %d %s", response.StatusCode, raw)
	}
	<-silent
	if m := world.Dial(t, node).Call(object{"to": name + ":[get]/" + name + "/file", "bdy": object{}}); m.Body() != `"hello"` {
		t.Errorf("over WebSocket: %s", m.Raw)
	}
	if err := service.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if response, raw := byPath(t, "GET", url, nil, nil); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(raw), "Unavailable "+name+" instances") {
		t.Errorf("it has left: %d %s", response.StatusCode, raw)
	}
}
