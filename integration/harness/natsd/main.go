// Command natsd is a plain nats-server for the tests: the stock module with
// its stock limits, as a process of its own, so that it can be killed, frozen
// and started again on the same store. It has nothing of Hydrant in it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
}

func run() error {
	options := &server.Options{Host: "127.0.0.1"}
	flag.StringVar(&options.ServerName, "name", "n0", "server name")
	flag.IntVar(&options.Port, "port", 0, "client port")
	flag.IntVar(&options.HTTPPort, "monitor", 0, "monitoring port; 0: none")
	flag.StringVar(&options.StoreDir, "store", "", "JetStream directory; empty: no JetStream")
	flag.Int64Var(&options.JetStreamMaxStore, "max-store", 0, "bytes JetStream may store; 0: the server's default")
	flag.StringVar(&options.Cluster.Name, "cluster", "", "cluster name; empty: one server")
	flag.IntVar(&options.Cluster.Port, "cluster-port", 0, "route port")
	routes := flag.String("routes", "", "comma-separated route URLs")
	watch := flag.Bool("watch", false, "write a line PUB <subject> for every message")
	maxPayload := flag.Int("max-payload", 0, "bytes of a message; 0: the server's default")
	config := flag.String("config", "", "a configuration file instead of all of these; SIGHUP reads it again")
	flag.Parse()
	if *config != "" {
		configured, err := server.ProcessConfigFile(*config)
		if err != nil {
			return err
		}
		return serve(configured, false)
	}

	options.HTTPHost = options.Host
	options.JetStream = options.StoreDir != ""
	options.TraceHeaders = true // payloads are not for the watch
	if *maxPayload > 0 {
		options.MaxPayload = int32(*maxPayload)
	}
	if options.Cluster.Name != "" {
		options.Cluster.Host = options.Host
		// Clients keep to the addresses that they were given: a test may have
		// put a faulty network in front of them.
		options.Cluster.NoAdvertise = true
		for _, route := range strings.Split(*routes, ",") {
			u, err := url.Parse(route)
			if err != nil {
				return err
			}
			options.Routes = append(options.Routes, u)
		}
	}
	return serve(options, *watch)
}

// serve runs the server until it is told to end.
func serve(options *server.Options, watch bool) error {
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	if watch {
		s.SetLogger(watcher{}, false, true)
	} else {
		s.ConfigureLogger()
	}
	if err := server.Run(s); err != nil { // installs the signal handlers, too
		return err
	}
	if !s.Running() {
		return errors.New("not running")
	}
	s.WaitForShutdown()
	return nil
}
