package deploy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"

	"hydrant/integration/harness"
)

// TestByPathThroughAccounts: requests of HTTP, by path and posted, reach a service of the
// kit and one of NATS' own framework with the rights that are written for them, each in
// its account or all in one: W60.
func TestByPathThroughAccounts(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "echo,plain")
		node := r.node(t, "a")
		startService(t, r.config(t, "echo"))
		nc := r.evil(t, "plain") // whose own violations would end in no answer
		plain, err := micro.AddService(nc, micro.Config{Name: "plain", Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		err = plain.AddEndpoint("file", micro.HandlerFunc(func(r micro.Request) {
			_ = r.Respond([]byte("hello"), micro.WithHeaders(micro.Headers{"Umf-Status": {"206"}, "Content-Type": {"text/x"}}))
		}), micro.WithEndpointSubject("umf.v1.svc.plain"), micro.WithEndpointMetadata(map[string]string{"umf.route": "[get]/plain/file"}))
		if err != nil {
			t.Fatal(err)
		}
		large := strings.Repeat("x", 64<<10)
		for _, test := range []struct {
			path, post, text string
			status           int
		}{
			{"/x", "", `"result":{}`, http.StatusOK}, {"/echo/x", "", `"result":{}`, http.StatusOK}, {"/plain/file", "", "hello", http.StatusPartialContent},
			{"/v1/router/message", `{"to":"echo:[get]/x","frm":"web:/","bdy":{"n":1}}`, `"result":{"n":1}`, http.StatusOK},
			{"/v1/router/message", `{"to":"echo:[get]/x","frm":"web:/","bdy":"` + large + `"}`, large, http.StatusOK},
			{"/metrics", "", "hydrant_nats_bulk_connected 1\n", http.StatusOK}, // over which the rest goes
			{"/v1/router/message", `{"to":"echo:[get]/x","frm":"web:/","bdy":"` + large + `"}`, large, http.StatusOK},
			{"/plain/file", "", "hello", http.StatusPartialContent},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
			defer cancel()
			if err := harness.Until(ctx, func() error { // interest may take its time
				method := http.MethodGet
				if test.post != "" {
					method = http.MethodPost
				}
				url := node.HTTP(test.path)
				if test.path == "/metrics" {
					url = node.AdminHTTP(test.path)
				}
				request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(test.post))
				if err != nil {
					return err
				}
				answer, body, err := harness.Do(request)
				if err == nil && (answer.StatusCode != test.status || !strings.Contains(string(body), test.text)) {
					err = fmt.Errorf("%d %.200s", answer.StatusCode, body)
				}
				return err
			}); err != nil {
				t.Errorf("%s: %v", test.path, err)
			}
		}
		if text := string(node.Log.Since(0)); strings.Contains(strings.ToLower(text), "violation") {
			t.Errorf("the node was refused something:\n%s", text)
		}
	})
}
