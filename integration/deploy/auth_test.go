package deploy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// TestAuthServiceThroughAccounts: a service that is asked who a client is, and one that is
// then asked by path over HTTP, each with the rights that are written for it: W60. The
// latter learns who asks, and is not asked by who is nobody.
func TestAuthServiceThroughAccounts(t *testing.T) {
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "auth-svcs,teller")
		node := r.node(t, "a", "EDGE_AUTH=service")
		r.serve(t, "auth-svcs", func(s *bus.Service) error {
			return s.HandleAny(func(ctx context.Context, q *bus.Request) error {
				var asked struct{ Token string }
				if err := q.Decode(&asked); err != nil || asked.Token != "good" {
					return &bus.Failure{Code: "unauthorized", Text: "Not you"}
				}
				return q.Reply(ctx, map[string]string{"identity": "alice"})
			})
		})
		var told atomic.Int64
		r.serve(t, "teller", func(s *bus.Service) error {
			return s.HandleMethod("GET", "/who", func(ctx context.Context, q *bus.Request) error {
				told.Add(1)
				return q.Reply(ctx, "you are "+q.Identity)
			})
		})
		get := func(token string) (status int, text string, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.HTTP("/who"), nil)
			if err != nil {
				return 0, "", err
			}
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			answer, body, err := harness.Do(request)
			if err != nil {
				return 0, "", err
			}
			return answer.StatusCode, string(body), nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		if err := harness.Until(ctx, func() error { // interest may take its time
			status, text, err := get("good")
			if err == nil && (status != http.StatusOK || !strings.Contains(text, "you are alice")) {
				err = fmt.Errorf("%d %s", status, text)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		before := told.Load()
		for _, token := range []string{"bad", ""} {
			if status, text, err := get(token); err != nil || status != http.StatusUnauthorized || strings.Contains(text, "you are") {
				t.Errorf("with the token %q: %d %s %v", token, status, text, err)
			}
		}
		if n := told.Load() - before; n != 0 {
			t.Errorf("who is nobody has asked %d times", n)
		}
		if text := string(node.Log.Since(0)); strings.Contains(strings.ToLower(text), "violation") {
			t.Errorf("the node was refused something:\n%s", text)
		}
	})
}

// serve runs a service of the kit with its user.
func (r *rights) serve(t *testing.T, name string, register func(*bus.Service) error) {
	t.Helper()
	nc, err := bus.Connect(r.config(t, name), name)
	if err != nil {
		t.Fatal(err)
	}
	kitService(t, nc, name, register)
}
