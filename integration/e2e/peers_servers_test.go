//go:build e2e && peers

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// peerCommand is a program that serves at an address.
type peerCommand struct {
	*harness.Process
	name, program, addr string
	args                []string
}

func (c *peerCommand) Start() (err error) {
	path, err := exec.LookPath(c.program)
	if err != nil {
		return fmt.Errorf("%w: the comment of TestE2EPeers says where it is from", err)
	}
	log := &harness.Log{}
	c.Process, err = harness.StartProcess(c.name, path, c.args, nil, log, log)
	return err
}

func (c *peerCommand) WaitReady(ctx context.Context) error {
	return harness.Until(ctx, func() error {
		select {
		case <-c.Exited():
			return fmt.Errorf("%s: %w", c.name, c.Err())
		default:
			return reachable(c.addr)
		}
	})
}

func hydrantServer(w *peersWorld, i int, _ string) (peerServer, error) {
	if i == 0 {
		if _, err := w.nc.QueueSubscribe("umf.v1.svc.slow", "slow", func(m *nats.Msg) {
			var ask struct {
				Via, Mid string
				Bdy      json.RawMessage
			}
			if err := json.Unmarshal(m.Data, &ask); err != nil {
				w.t.Error(err)
				return
			}
			time.AfterFunc(answersAfter, func() {
				_ = m.Respond(fmt.Appendf(nil, `{"to":%q,"frm":"slow:/","mid":%q,"rmid":%q,"bdy":%s}`, ask.Via, nats.NewInbox(), ask.Mid, ask.Bdy)) // the end of the test comes first
			})
		}); err != nil {
			return nil, err
		}
	}
	node, err := harness.LaunchNode(harness.NodeOptions{Name: fmt.Sprint("node ", i), NATS: w.nats.URL(), Env: map[string]string{"EDGE_MAILBOX_STREAMS": "2"}})
	if err == nil {
		err = node.WaitReady(w.ctx)
	}
	if err == nil {
		node.Kill() // to be started as the others are
	}
	return node, err
}

func nodeServer(kind string) func(*peersWorld, int, string) (peerServer, error) {
	return func(w *peersWorld, i int, addr string) (peerServer, error) {
		if err := w.startRedis(); err != nil {
			return nil, err
		}
		relay := func(name, addr string, pushes bool) *peerCommand {
			_, port, _ := strings.Cut(addr, ":")
			return &peerCommand{name: name, program: "node", addr: addr, args: []string{"peers/server.mjs", kind, port, w.nats.URL(), w.redis, fmt.Sprint(pushes)}}
		}
		if kind != "socketio" {
			return relay(fmt.Sprint(kind, " ", i), addr, true), nil // each for its own clients
		}
		if i == 0 { // one that no client is on, and that is not killed, pushes for all
			addr, err := harness.FreeAddr()
			if err == nil {
				err = w.started(relay("pusher", addr, true))
			}
			if err != nil {
				return nil, err
			}
		}
		return relay(fmt.Sprint(kind, " ", i), addr, false), nil
	}
}

func publishAll(w *peersWorld, n int) error {
	if err := w.nc.Publish("push", fmt.Append(nil, n)); err != nil {
		return err
	}
	return w.nc.Flush()
}

func publishOne(w *peersWorld, n int) error {
	_, err := w.nc.Request("push", fmt.Append(nil, n), 2*time.Second)
	return err
}

func centrifugoServer(w *peersWorld, i int, addr string) (peerServer, error) {
	if err := w.startRedis(); err != nil {
		return nil, err
	}
	if w.backend == "" {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			var ask struct{ Data json.RawMessage }
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
				http.Error(out, err.Error(), http.StatusBadRequest)
				return
			}
			time.Sleep(answersAfter)
			fmt.Fprintf(out, `{"result":{"data":%s}}`, ask.Data)
		}))
		w.t.Cleanup(server.Close)
		w.backend = server.URL
	}
	host, port, _ := strings.Cut(addr, ":")
	type object = map[string]any
	config, err := json.Marshal(object{
		"http_server": object{"address": host, "port": port}, "http_api": object{"insecure": true}, "log": object{"level": "error"},
		"client": object{"insecure": true, "allowed_origins": []string{"*"}}, "engine": object{"type": "redis", "redis": object{"address": w.redis}},
		"channel": object{"without_namespace": object{"history_size": 5000, "history_ttl": "1h", "force_recovery": true}},
		"rpc":     object{"proxy": object{"endpoint": w.backend}, "without_namespace": object{"proxy_enabled": true}},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(w.t.TempDir(), "centrifugo.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	return &peerCommand{name: fmt.Sprint("centrifugo ", i), program: "centrifugo", addr: addr, args: []string{"--config", file}}, nil
}

func publishCentrifugo(w *peersWorld, n int) error {
	for _, addr := range w.addrs {
		response, err := http.Post("http://"+addr+"/api/publish", "application/json", strings.NewReader(fmt.Sprintf(`{"channel":"one","data":%d}`, n)))
		if err != nil {
			continue // it is dead
		}
		var answer struct{ Error any }
		err = json.NewDecoder(response.Body).Decode(&answer)
		_ = response.Body.Close() // it was read
		if err == nil && answer.Error == nil {
			return nil
		}
		return fmt.Errorf("%v %v", answer.Error, err)
	}
	return fmt.Errorf("no Centrifugo is there")
}
