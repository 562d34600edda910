package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
)

// How a puller asks. While a question is open and no message comes, the server says
// every pullHeartbeat that it still knows of it: what died with a leader, or was sent
// where there was none, is noticed after two of them, and asked again.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = time.Second
)

// errNoHeartbeat: the server that was asked for messages does not know of it any more.
var errNoHeartbeat = errors.New("bus: the work queue has fallen silent")

// puller takes messages from a consumer: at most so many ahead of those that are in
// work. Its methods may be called from any goroutine.
type puller struct {
	// Immutable.
	nc      *nats.Conn
	subject string         // to ask on
	prefix  string         // of reply subjects, with the final dot
	room    int            // messages asked for, and come but not taken
	trouble func(error)    // nil: it is over. Called without mu; must only enqueue
	msgs    chan *nats.Msg // sent to by NATS' callback, never closed
	sub     *nats.Subscription
	quit    chan struct{} // closed by stop or drain: nothing more is asked for
	ended   chan struct{} // closed when no more messages come
	watch   sync.WaitGroup
	once    sync.Once

	// Guarded by mu.
	mu        sync.Mutex
	asked     int       // messages asked for that have not come
	held      int       // that have come and are not taken
	questions uint64    // number of the last one
	heard     time.Time // when the server said something last, or was asked
	troubled  bool
	stopped   bool
}

// lateRoom is how many times its room a puller takes: a question that was given up may
// be answered after all.
const lateRoom = 4

// newPuller begins to take messages of the consumer that is asked on subject.
func newPuller(nc *nats.Conn, subject string, room int, trouble func(error)) (*puller, error) {
	p := &puller{
		nc: nc, subject: subject, prefix: nc.NewInbox() + ".", room: room,
		trouble: trouble, msgs: make(chan *nats.Msg, lateRoom*room), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	sub, err := nc.Subscribe(p.prefix+"*", p.receive)
	if err != nil {
		return nil, jet.SendError(err)
	}
	p.sub = sub
	over := sync.OnceFunc(func() { close(p.ended) })
	sub.SetClosedHandler(func(string) { over() }) // nats.go calls receive no more
	if !sub.IsValid() {
		over() // before it had the handler
	}
	p.ask()
	p.watch.Go(p.attend)
	return p, nil
}

// Closed is closed when no more messages come.
func (p *puller) Closed() <-chan struct{} { return p.ended }

// took makes room for another message.
func (p *puller) took() {
	p.mu.Lock()
	p.held--
	p.mu.Unlock()
	p.ask()
}

// ask asks for as many messages as there is room for, if that is at least half.
func (p *puller) ask() {
	p.mu.Lock()
	n := p.room - p.asked - p.held
	if p.stopped || n <= 0 || n < p.room/2 {
		p.mu.Unlock()
		return
	}
	p.asked += n
	p.questions++
	p.heard = time.Now()
	reply := p.prefix + strconv.FormatUint(p.questions, 36)
	p.mu.Unlock()
	question, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{n, pullExpires, pullHeartbeat})
	if err == nil {
		err = p.nc.PublishRequest(p.subject, reply, question)
	}
	if err != nil {
		p.refused(n, jet.SendError(err))
	}
}

// refused takes back what was asked for in vain; attend asks again.
func (p *puller) refused(n int, why error) {
	p.mu.Lock()
	p.asked = max(0, p.asked-n)
	p.troubled = p.troubled || why != nil
	p.mu.Unlock()
	if why != nil {
		p.trouble(why)
	}
}

// receive is NATS' callback. It never waits.
func (p *puller) receive(m *nats.Msg) {
	switch status := jet.StatusOf(m); status {
	case "":
		p.well(1)
		select {
		case p.msgs <- m:
		default: // more than was ever asked for: it comes again after its AckWait
			p.mu.Lock()
			p.held--
			p.mu.Unlock()
		}
	case "100": // a heartbeat
		p.well(0)
	case "404", "408": // the question's time is over
		p.refused(left(m), nil)
		p.ask()
	default: // no consumer, no leader, a server that stops
		p.refused(left(m), fmt.Errorf("%w: %s %s", ErrUnavailable, status, m.Header.Get("Description")))
	}
}

// well notes that the server knows of the question, and has sent n messages.
func (p *puller) well(n int) {
	p.mu.Lock()
	p.heard = time.Now()
	p.asked = max(0, p.asked-n)
	p.held += n
	was := p.troubled
	p.troubled = false
	p.mu.Unlock()
	if was {
		p.trouble(nil)
	}
}

// left is how many messages a question that has ended was still to get.
func left(m *nats.Msg) int {
	n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return all // no responder, or no consumer
	}
	return n
}

// all is more than anybody asks for.
const all = math.MaxInt

// attend asks again for what was asked for in vain, until nothing is to be asked for.
func (p *puller) attend() {
	tick := time.NewTicker(pullHeartbeat)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.ended:
			return
		case <-tick.C:
		}
		if !p.nc.IsConnected() {
			continue
		}
		p.mu.Lock()
		lost := p.asked > 0 && time.Since(p.heard) > 2*pullHeartbeat
		p.mu.Unlock()
		if lost {
			p.refused(all, errNoHeartbeat)
		}
		p.ask()
	}
}

// drain asks for nothing more. What the server has sent still comes; then Closed is
// closed.
func (p *puller) drain() { p.end(p.sub.Drain) }

// stop asks for nothing more, and nothing more comes.
func (p *puller) stop() { p.end(p.sub.Unsubscribe) }

func (p *puller) end(leave func() error) {
	p.once.Do(func() {
		p.mu.Lock()
		p.stopped = true
		p.mu.Unlock()
		close(p.quit)
	})
	_ = leave() // fails only if it is done already, or with the connection: then nothing comes either
	p.watch.Wait()
}
