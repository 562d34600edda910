package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// TestByPathAtTheLimit: a body of EDGE_MAX_MESSAGE, of whatever bytes, reaches a service
// and comes back, with the NATS that a node has in its process.
func TestByPathAtTheLimit(t *testing.T) {
	nats := startNATS(t).URL()
	node, address := begin(t, nats, func(cfg *Config) { cfg.RequestTimeout = harness.Patience })
	nc, err := bus.Connect(bus.Config{URL: nats}, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "echo", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(s.HandleMethod("PUT", "/back", func(ctx context.Context, r *bus.Request) error {
		kind, body, err := r.Content()
		if err != nil {
			return err
		}
		return r.Respond(ctx, bus.Response{ContentType: kind, Body: body})
	}), s.Start())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	body := make([]byte, node.cfg.MaxMessage)
	for i := range body {
		body[i] = byte(i >> 3)
	}
	url := "http" + strings.TrimPrefix(address, "ws") + "back"
	for name, reader := range map[string]io.Reader{"with its length": bytes.NewReader(body), "chunked": io.MultiReader(bytes.NewReader(body))} {
		request, err := http.NewRequestWithContext(t.Context(), "PUT", url, reader)
		if err != nil {
			t.Fatal(err)
		}
		response, raw, err := harness.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK || !bytes.Equal(raw, body) || response.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s: %d, %s, %d bytes", name, response.StatusCode, response.Header.Get("Content-Type"), len(raw))
		}
	}
}
