package client_test

import (
	"context"
	"log"
	"log/slog"
	"os"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/edge"
)

// startNode runs a node with NATS and an echo service in this process. stop ends them.
func startNode() (url string, stop func()) {
	var ends []func()
	stop = func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
	}
	must := func(err error) {
		if err != nil {
			stop()
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "client-")
	must(err)
	ends = append(ends, func() { _ = os.RemoveAll(dir) })
	server, err := embedded.Start(embedded.Options{Open: true, DataDir: dir})
	must(err)
	ends = append(ends, func() { _ = server.Shutdown(context.Background()) })
	nc, err := bus.Connect(bus.Config{URL: server.URL()}, "echo")
	must(err)
	ends = append(ends, nc.Close)
	service, err := bus.NewService(nc, bus.ServiceConfig{Name: "echo"})
	must(err)
	service.HandleAny(func(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, r.Message.Body) })
	must(service.Start())
	ends = append(ends, func() { _ = service.Stop(context.Background()) })

	cfg, err := edge.DefaultConfig()
	must(err)
	cfg.Listen, cfg.AdminListen, cfg.MailboxStreams, cfg.DrainTimeout = "127.0.0.1:0", "", 1, 0
	node, err := edge.New(cfg, bus.Config{URL: server.URL()}, edge.Options{Logger: slog.New(slog.DiscardHandler)})
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(context.Background()) }()
	ends = append(ends, func() {
		node.Drain("end of the example")
		must(<-ended)
	})
	addr, err := node.Addr(context.Background())
	must(err)
	return "ws://" + addr, stop
}
