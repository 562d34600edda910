//go:build haproxy || docker || nginx

package deploy

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// balancer is a running HAProxy.
type balancer struct {
	*harness.Process
	clients, statistics string // addresses
	log                 *harness.Log
}

// wantPathAlone: a balancer logs where a request goes, and nothing that stands behind
// the path, where a token may be.
func wantPathAlone(t *testing.T, url string, log *harness.Log) {
	t.Helper()
	mark := log.Mark()
	const secret = "access_token=aaaa.bbbb.cccc"
	for _, target := range []string{"/where/to?" + secret, "/where/to/?x=1&" + secret, "/where/to%3F?" + secret + "#" + secret} {
		_, _ = harness.Get(url + target) // whatever the answer is
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		if n := bytes.Count(log.Since(mark), []byte("/where/to")); n < 3 {
			return fmt.Errorf("%d of 3 requests are logged:\n%s", n, log.Since(mark))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if said := log.Since(mark); bytes.Contains(said, []byte("access_token")) || bytes.Contains(said, []byte("bbbb")) {
		t.Errorf("the balancer says\n%s", said)
	}
}

func startNATS(t *testing.T) *harness.NATS {
	t.Helper()
	servers, err := harness.StartNATS(t.Context(), harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	return servers
}

// waitUp returns when the balancer has found n edges to be ready.
func waitUp(t *testing.T, b *balancer, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := harness.Until(ctx, func() error {
		page, err := harness.Get("http://" + b.statistics + "/;csv")
		if err != nil {
			return err
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(page), "# "))).ReadAll()
		if err != nil {
			return err
		}
		up := 0
		for _, row := range rows {
			// pxname, svname, …, status (17).
			if len(row) > 17 && row[0] == "edges" && strings.HasPrefix(row[1], "edge") && row[17] == "UP" {
				up++
			}
		}
		if up != n {
			return fmt.Errorf("%d of %d edges are up", up, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// askEcho: a client that connects through a balancer is answered by the echo
// service.
func askEcho(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	if err := echoes(ctx, url); err != nil {
		t.Fatal(err)
	}
}

// waitEcho is askEcho once the balancer and the service are there.
func waitEcho(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error { return echoes(ctx, url) }); err != nil {
		t.Fatal(err)
	}
}

func echoes(ctx context.Context, url string) error {
	client, err := harness.Dial(ctx, url, harness.DialOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Call(ctx, harness.Object{"to": "echo:/", "bdy": "hello"})
	if err != nil {
		return err
	}
	if answer.Body() != `"hello"` {
		return fmt.Errorf("echo answered %s", answer.Raw)
	}
	return nil
}
