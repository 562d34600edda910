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
// holds the last one that condition gave before.
func Until(ctx context.Context, condition func() error) error {
	return UntilEvery(ctx, pollInterval, condition)
}

// UntilEvery is [Until] for a condition that costs much: it is tried once an interval.
func UntilEvery(ctx context.Context, interval time.Duration, condition func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var why error
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil { // else the end of the wait is all it says
			why = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), why)
		}
	}
}

// Ports are taken from below the ephemeral range (32768 on Linux, 49152
// elsewhere), and above what services commonly use, a block at a time.
const (
	lowestPort = 20000
	blockPorts = 100
	portBlocks = 120
)

// ports are the blocks of this process. It holds the first port of each as long
// as it lives, so that no other process of tests takes the port of a node that
// has ended and is to start again.
var ports struct {
	sync.Mutex
	held []net.Listener
	free []int // of the last block
}

// FreeAddr returns an address of 127.0.0.1 that nothing listens on, and that
// neither this process nor another one that uses this package is given again.
// Some other program may still take it: [StartNode] and [StartNATS] then try
// again.
func FreeAddr() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	for range 10 * blockPorts {
		if len(ports.free) == 0 {
			if err := takeBlock(); err != nil {
				return "", err
			}
		}
		addr := localAddr(ports.free[0])
		ports.free = ports.free[1:]
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, ln.Close()
	}
	return "", errPorts
}

var errPorts = fmt.Errorf("harness: no free port between %d and %d", lowestPort, lowestPort+portBlocks*blockPorts)

func localAddr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// takeBlock finds a block that no process has. ports is locked.
func takeBlock() error {
	for _, block := range portSource.Perm(portBlocks) {
		first := lowestPort + block*blockPorts
		ln, err := net.Listen("tcp", localAddr(first))
		if err != nil {
			continue
		}
		ports.held = append(ports.held, ln)
		for port := first + 1; port < first+blockPorts; port++ {
			ports.free = append(ports.free, port)
		}
		return nil
	}
	return errPorts
}
