package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"hydrant/integration/chaos"
	"hydrant/integration/harness"
)

func main() {
	ours, status, err := harness.Isolate()
	if err != nil {
		panic(err)
	}
	if !ours {
		os.Exit(status)
	}
	start := time.Now()
	cfg := chaos.Config{Network: true, Clients: 2000, Nodes: 3, Rate: 300, Seed: 5}
	cfg.Log = func(format string, args ...any) {
		fmt.Printf("%8.3f "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
	}
	for _, f := range os.Args[1:] {
		r, err := chaos.Recover(context.Background(), cfg, f)
		fmt.Println(r.Row(), err)
	}
	harness.Shutdown()
}
