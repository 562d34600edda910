package bus_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/umf"
)

// A service in a few lines: it answers every message with the message's body.
func Example() {
	nc, err := bus.Connect(bus.Config{URL: os.Getenv("NATS_URL")}, "echo")
	if err != nil {
		log.Fatal(err)
	}
	svc, err := bus.NewService(nc, bus.ServiceConfig{Name: "echo", Version: "1.0.0"})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.HandleAny(func(ctx context.Context, r *bus.Request) error {
		return r.Reply(ctx, r.Message.Body)
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := svc.Run(context.Background()); err != nil { // until the context ends
		log.Fatal(err)
	}
}

// Handlers by type and by HTTP method and path, and an error for the sender.
func ExampleService_HandleMethod() {
	nc, stop := demo()
	defer stop()
	svc, err := bus.NewService(nc, bus.ServiceConfig{Name: "users"})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.HandleMethod("GET", "/v1/users/{id}", func(ctx context.Context, r *bus.Request) error {
		if r.PathValue("id") != "7" {
			return &bus.Failure{Code: "not_found", Text: "No such user"}
		}
		return r.Reply(ctx, map[string]string{"name": "Ann"})
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := svc.Start(); err != nil {
		log.Fatal(err)
	}

	// What a node does for a client; here with plain NATS.
	for _, path := range []string{"/v1/users/7", "/v1/users/8"} {
		request, err := umf.New("users:[GET]"+path, "me@client:/", nil)
		if err != nil {
			log.Fatal(err)
		}
		text, err := request.AppendShort(nil)
		if err != nil {
			log.Fatal(err)
		}
		answer, err := nc.Request("umf.v1.svc.users", text, 5*time.Second)
		if err != nil {
			log.Fatal(err)
		}
		m, err := umf.Parse(answer.Data)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(m.Body))
	}
	if err := svc.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"name":"Ann"}
	// {"error":"No such user","code":"not_found"}
}

// A push is stored for the session, connected or not, when Push returns. The
// node that has the session's client then reads it.
func ExampleService_Push() {
	nc, stop := demo()
	defer stop()
	ctx := context.Background()
	node, err := store.Open(ctx, nc, store.Config{Streams: 1}) // nodes do this
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	svc, err := bus.NewService(nc, bus.ServiceConfig{Name: "news"})
	if err != nil {
		log.Fatal(err)
	}

	sid := scheme.NewSID() // of a session that a client has, usually from Request.Session
	for _, text := range []string{"one", "two", "three"} {
		m, err := svc.NewMessage(string(sid)+"@client:/", text)
		if err != nil {
			log.Fatal(err)
		}
		if err := svc.Push(ctx, string(sid), m); err != nil {
			log.Fatal(err)
		}
	}

	batch, err := node.Read(ctx, sid, 1, 0, 100, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, stored := range batch.Msgs {
		m, err := umf.Parse(stored.Payload)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(m.Body))
	}
	if err := svc.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "one"
	// "two"
	// "three"
}

// demo is a NATS server in the process and a connection to it.
func demo() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		log.Fatal(err)
	}
	server, err := embedded.Start(embedded.Options{Open: true, DataDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	closed := make(chan struct{})
	nc, err = bus.Connect(bus.Config{URL: server.URL()}, "example",
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		nc.Close()
		<-closed
		if err := server.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}
