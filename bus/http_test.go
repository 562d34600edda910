package bus

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestRespond: a request that came over HTTP is answered in its words, and what it
// carried is what its sender wrote.
func TestRespond(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleMethod("PUT", "/v1/{id}", func(ctx context.Context, r *Request) error {
			kind, body, err := r.Content()
			if err != nil {
				return &Failure{Code: "bad_request", Text: "no"}
			}
			return r.Respond(ctx, Response{
				Status: 201, ContentType: kind, Header: map[string]string{"X-Query": r.Query().Get("q"), "X-Accept": r.HeaderValue("accept")},
				Body: append(body, r.PathValue("id")...),
			})
		})
	})
	ask := func(to, hdr, bdy string) *nats.Msg {
		t.Helper()
		data := `{"to":"echo-svcs:[PUT]` + to + `","frm":"x:/","mid":"1","hdr":` + hdr + `,"bdy":` + bdy + `}`
		m, err := f.store.nc.Request(scheme.ServiceSubject("echo-svcs"), []byte(data), natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, test := range []struct{ hdr, bdy, kind, body string }{
		{`{"content-type":"text/plain","x-encoding":"base64","accept":"a"}`, `"aGVsbG8="`, "text/plain", "hello7"},
		{`{"content-type":"application/x+json","accept":"a"}`, `{"n":1}`, "application/x+json", `{"n":1}7`},
		{`{"accept":"a"}`, `"x"`, "application/json", `"x"7`},
	} {
		m := ask("/v1/7?q=a%20b", test.hdr, test.bdy)
		if string(m.Data) != test.body || m.Header.Get(scheme.HeaderStatus) != "201" || m.Header.Get("Content-Type") != test.kind ||
			m.Header.Get("X-Query") != "a b" || m.Header.Get("X-Accept") != "a" {
			t.Errorf("%s: %s with %v", test.hdr, m.Data, m.Header)
		}
	}
	if m := ask("/v1/7", `{"x-encoding":"base64"}`, `"no base64"`); !strings.Contains(string(m.Data), `"code":"bad_request"`) {
		t.Errorf("%s", m.Data)
	}
}

// TestRespondRefuses: a status that is none, a body that NATS would not take, and a
// message whose sender waits for no such answer.
func TestRespondRefuses(t *testing.T) {
	got := make(chan error, 4)
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		respond := func(ctx context.Context, r *Request) error {
			got <- r.Respond(ctx, Response{Status: 99})
			got <- r.Respond(ctx, Response{Body: make([]byte, 64<<20)})
			return nil
		}
		plain := func(ctx context.Context, r *Request) error {
			got <- r.Respond(ctx, Response{})
			return nil
		}
		return errors.Join(s.HandleMethod("GET", "/", respond), s.HandleAny(plain))
	})
	if err := f.store.nc.PublishRequest(scheme.ServiceSubject("echo-svcs"), nats.NewInbox(), []byte(`{"to":"echo-svcs:[GET]/","frm":"x:/","mid":"1","bdy":{}}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, ErrServiceConfig) {
		t.Error(err)
	}
	if err := <-got; !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	f.send(t, "echo-svcs:/", "", "m", 1)
	if err := <-got; !errors.Is(err, ErrNoReply) {
		t.Error(err)
	}
}

// TestDescribe: what a service says of its routes stands beside them.
func TestDescribe(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return errors.Join(s.HandleMethod("get", "/v1/x", echo), s.Describe("get", "/v1/x", scheme.Description{Summary: "An x"}))
	})
	m, err := f.store.nc.Request("$SRV.INFO.echo-svcs", nil, natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range info.Endpoints {
		if e.Metadata[scheme.MetaRoute] == "[GET]/v1/x" && e.Metadata[scheme.MetaDescribe] == `{"[GET]/v1/x":{"summary":"An x"}}` {
			found = true
		}
	}
	if !found {
		t.Errorf("%s", m.Data)
	}
	s, err := NewService(f.store.nc, ServiceConfig{Name: "other", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.Describe("GET", "x", scheme.Description{}), s.Describe("GET", "/x", scheme.Description{Text: strings.Repeat("x", scheme.MaxDescriptions)}),
		s.Describe("GET", "/x", scheme.Description{Request: json.RawMessage("{")}), f.svc.Describe("GET", "/late", scheme.Description{}),
	} {
		if !errors.Is(err, ErrServiceConfig) {
			t.Error(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
