// Command centrifuge-relay is a gateway on the library centrifuge: what a
// client calls becomes a NATS request. It is measured beside the nodes (see
// hydrant/integration/bench); a module of its own keeps what it needs out of
// Hydrant's.
//
//	centrifuge-relay ADDRESS NATS-URL SUBJECT
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/nats-io/nats.go"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge-relay:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: centrifuge-relay ADDRESS NATS-URL SUBJECT")

// run serves until it fails or the process is killed.
func run(args []string) error {
	if len(args) != 3 {
		return errUsage
	}
	addr, url, subject := args[0], args[1], args[2]
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "bench"}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		// The library's own way to wait elsewhere than in its read loop.
		client.OnRPC(func(e centrifuge.RPCEvent, answer centrifuge.RPCCallback) {
			go func() {
				m, err := nc.Request(subject, e.Data, 5*time.Second)
				if err != nil {
					answer(centrifuge.RPCReply{}, err)
					return
				}
				answer(centrifuge.RPCReply{Data: m.Data}, nil)
			}()
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1},
		CheckOrigin:    func(*http.Request) bool { return true },
	}))
	return http.ListenAndServe(addr, nil)
}
