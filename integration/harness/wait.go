package harness

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// pollInterval is how often Until looks again. It bounds how late a wait
// ends, not what it waits for.
const pollInterval = 10 * time.Millisecond

// Until calls condition until it returns nil. When ctx ends first, the error
// holds the last one that condition gave.
func Until(ctx context.Context, condition func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// Ports are taken from below the ephemeral range (32768 on Linux, 49152
// elsewhere), and above what services commonly use.
const (
	lowestPort  = 20000
	highestPort = 32000
)

var taken struct {
	sync.Mutex
	ports map[int]bool
}

// FreeAddr returns an address of 127.0.0.1 that nothing listens on and that
// this process has not been given before. Another process may still take it
// before it is used: [StartNode] and [StartNATS] then try again.
func FreeAddr() (string, error) {
	taken.Lock()
	defer taken.Unlock()
	if taken.ports == nil {
		taken.ports = make(map[int]bool)
	}
	for range 1000 {
		port := lowestPort + portSource.IntN(highestPort-lowestPort)
		if taken.ports[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			return "", err
		}
		taken.ports[port] = true
		return addr, nil
	}
	return "", fmt.Errorf("harness: no free port between %d and %d", lowestPort, highestPort)
}
