// Package sizing says what a load needs of machines: processors, memory and disk of
// nodes and of NATS. It computes with prices that integration/bench has measured
// (prices.json), and knows nothing of the machine that it runs on.
//
// # Prices
//
// A message that comes alone wakes processes up, which costs several times what it costs
// among many. So work has two prices: up to a low rate, and beyond it. At any rate the
// messages up to the low rate are counted at the former, which is too much where a process
// never sleeps, and that is on the safe side.
//
// Prices are of messages of some hundred bytes. Memory is what the process has asked the
// system for, some seconds after its last client came.
package sizing

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Load is what is to be carried.
type Load struct {
	Sessions int           `json:"sessions"` // with a socket, or away
	Away     float64       `json:"away"`     // share of the sessions without a socket, 0 to 1
	Requests float64       `json:"requests"` // from clients to services each second, which are answered
	Pushes   float64       `json:"pushes"`   // from services and clients to sessions each second
	Resumes  float64       `json:"resumes"`  // sessions that come back each second
	Bytes    int           `json:"bytes"`    // of a message
	TTL      time.Duration `json:"ttl"`      // EDGE_SESSION_TTL
	Queue    int           `json:"queue"`    // EDGE_QUEUE_LIMIT
	Alone    bool          `json:"alone"`    // one NATS server, whose failure stops all, if it can carry the load
}

// Machine is what a node, or a NATS server, runs on.
type Machine struct {
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"` // bytes
}

// Plan is what a load needs.
type Plan struct {
	Nodes   int `json:"nodes"`   // one of them may fail
	Servers int `json:"servers"` // of NATS; one of several may fail
	Copies  int `json:"copies"`  // of all that is stored: EDGE_STREAM_REPLICAS
	Streams int `json:"streams"` // EDGE_MAILBOX_STREAMS

	Edge Need `json:"edge"` // of all nodes together
	NATS Need `json:"nats"` // of all servers together

	Sockets int   `json:"sockets"` // of each node, while one of them is gone
	Mail    int64 `json:"mail"`    // bytes of messages that the store keeps, in one copy
	Store   int64 `json:"store"`   // EDGE_STORE_BYTES: bytes of one copy
	Disk    int64 `json:"disk"`    // bytes of each server, which hold the copies together
}

// Need is what processes use.
type Need struct {
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"` // bytes
}

// Prices are what was measured. Times are of a processor, in µs.
type Prices struct {
	Request Work    `json:"request"`      // of a client to a service, and its answer
	Push    Work    `json:"push"`         // to a session that is connected
	Resume  Cost    `json:"resume"`       // of a session of which nothing waits
	Waiting Cost    `json:"waiting"`      // more, of each message that waits
	Three   float64 `json:"three_copies"` // what three servers take for a push, in that of one

	Socket  Bytes `json:"socket"`  // memory of a session with a socket
	Base    Bytes `json:"base"`    // memory of a process: of a node under traffic, of NATS before it
	Session int64 `json:"session"` // bytes of a session in the store
	Message int64 `json:"message"` // bytes of a message in the store, beyond its own
	Recent  int64 `json:"recent"`  // memory of NATS for a message of the last minute, of which it knows the mid
}

// Work is the price of one message at two rates.
type Work struct {
	Rate float64 `json:"rate"` // messages a second up to which Low holds
	Low  Cost    `json:"low"`
	High Cost    `json:"high"`
}

// Cost is processor time of a node and of NATS, µs.
type Cost struct {
	Node float64 `json:"node"`
	NATS float64 `json:"nats"`
}

// Bytes is memory of a node and of NATS.
type Bytes struct {
	Node int64 `json:"node"`
	NATS int64 `json:"nats"`
}

//go:embed prices.json
var measured []byte

// Measured returns the prices that come with this version.
func Measured() (Prices, error) {
	var p Prices
	err := json.Unmarshal(measured, &p)
	return p, err
}

// ErrLoad marks a load that cannot be.
var ErrLoad = errors.New("no load")

// check reports what is wrong with a load.
func (l *Load) check(m Machine) error {
	switch {
	case l.Sessions < 1:
		return fmt.Errorf("%w: %d sessions", ErrLoad, l.Sessions)
	case !(l.Away >= 0 && l.Away <= 1):
		return fmt.Errorf("%w: a share of %g away is not between 0 and 1", ErrLoad, l.Away)
	case !(l.Requests >= 0 && l.Pushes >= 0 && l.Resumes >= 0) || math.IsInf(l.Requests+l.Pushes+l.Resumes, 0):
		return fmt.Errorf("%w: a rate below 0, or without an end", ErrLoad)
	case l.Bytes < 1, l.TTL <= 0, l.Queue < 1:
		return fmt.Errorf("%w: bytes, ttl and queue must be above 0", ErrLoad)
	case !(m.Cores > 0) || m.Memory < 1:
		return fmt.Errorf("%w: a machine without processors, or memory", ErrLoad)
	}
	return nil
}

// How full machines are planned. The rest is for what comes all at once, for the clients
// of a node that stops, and for everything else that runs there.
const (
	busy = 0.5 // of a processor
	full = 0.6 // of memory
)

// streamCores is how much of a processor one stream's leader may take: it uses one.
const streamCores = 0.5

// mailboxShare is the part of the store that mailboxes have.
const mailboxShare = 0.7

// maxStreams and defaultStreams are of EDGE_MAILBOX_STREAMS.
const (
	defaultStreams = 16
	maxStreams     = 32
)

// Size says what a load needs on machines of this kind.
func Size(l Load, m Machine, p Prices) (Plan, error) {
	if err := l.check(m); err != nil {
		return Plan{}, err
	}
	var plan Plan
	connected := float64(l.Sessions) * (1 - l.Away)
	served := l.Pushes * (1 - l.Away) // the others wait, and are paid for when they are fetched
	waiting := 0.0
	if l.Resumes > 0 {
		waiting = min(l.Pushes*l.Away/l.Resumes, float64(l.Queue))
	}
	rest := p.Resume.times(l.Resumes).plus(p.Waiting.times(l.Resumes * waiting))

	edge := func(nodes int) Need {
		n := float64(nodes)
		each := p.Request.at(l.Requests / n).plus(p.Push.at(served / n)).plus(rest.times(1 / n))
		return Need{Cores: each.Node * n / 1e6, Memory: int64(connected*float64(p.Socket.Node) + n*float64(p.Base.Node))}
	}
	plan.Nodes = 1
	for ; plan.Nodes < 1<<16; plan.Nodes++ { // each more node wakes up more often
		if need := edge(plan.Nodes); need.fits(m, plan.Nodes) {
			break
		}
	}
	plan.Sockets = int(math.Ceil(connected / float64(plan.Nodes)))
	plan.Nodes++ // one of them may fail
	plan.Edge = edge(plan.Nodes)

	work := p.Request.at(l.Requests).plus(p.Push.at(l.Pushes)).plus(rest)
	held := int64(connected)*p.Socket.NATS + int64((l.Requests+l.Pushes)*60)*p.Recent
	one := Need{Cores: work.NATS / 1e6, Memory: p.Base.NATS + held}
	plan.Servers, plan.Copies, plan.NATS = 1, 1, one
	if !l.Alone || !one.fits(m, 1) {
		plan.Copies = 3
		three := func(servers int) Need {
			return Need{Cores: one.Cores * p.Three, Memory: int64(servers)*p.Base.NATS + 3*held}
		}
		for plan.Servers = 3; plan.Servers < 1<<10 && !three(plan.Servers).fits(m, plan.Servers-1); plan.Servers += 2 {
		}
		plan.NATS = three(plan.Servers)
	}
	plan.Streams = streams(one.Cores)
	plan.Mail, plan.Store = store(&l, &p)
	plan.Disk = plan.Store * int64(plan.Copies) / int64(plan.Servers)
	return plan, nil
}

// store is the disk that a load fills: by messages, and with its shares in all.
func store(l *Load, p *Prices) (mail, all int64) {
	kept := (l.Requests + l.Pushes) * 1.5 * l.TTL.Seconds()
	kept = min(kept, 1.03*float64(l.Queue)*float64(l.Sessions))
	bytes := kept * float64(int64(l.Bytes)+p.Message)
	sessions := float64(l.Sessions) * float64(p.Session)
	return int64(bytes), int64(max(bytes/mailboxShare, sessions/((1-mailboxShare)/2)))
}

// streams is a power of two.
func streams(cores float64) int {
	n := defaultStreams
	for n < maxStreams && cores/float64(n) > streamCores {
		n *= 2
	}
	return n
}

// fits reports whether so many machines carry it, with room to spare.
func (n Need) fits(m Machine, machines int) bool {
	count := float64(machines)
	return n.Cores <= busy*m.Cores*count && float64(n.Memory) <= full*float64(m.Memory)*count
}

// at is what a rate costs each second.
func (w Work) at(rate float64) Cost {
	slow := min(rate, w.Rate)
	return w.Low.times(slow).plus(w.High.times(rate - slow))
}

func (c Cost) times(n float64) Cost { return Cost{Node: c.Node * n, NATS: c.NATS * n} }
func (c Cost) plus(other Cost) Cost {
	return Cost{Node: c.Node + other.Node, NATS: c.NATS + other.NATS}
}
