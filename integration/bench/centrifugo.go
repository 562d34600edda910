package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"hydrant/integration/harness"
)

// Centrifugo is the gateway that the goals of the design are set against: in
// Go as well, a goroutine for each connection, with its clients' history in
// Redis and without a session of its own. What it spends, on this machine and
// in the same run, is measured with the clients and the loads that a node gets.
const (
	centrifugoModule = "github.com/centrifugal/centrifugo/v6@v6.9.1"
	centrifugoPrefix = "centrifugo: " // before the name of the measurement that it is compared with
	centrifugoPath   = "/connection/websocket"
	noConfig         = "settings-are-in-the-environment.json" // a file that does not exist is none
)

var errTool = errors.New("a program is missing")

// tool finds a program that is measured and not part of this module.
func tool(name, install string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %s: install it with: %s", errTool, name, install)
	}
	return path, nil
}

// startRedis starts a Redis that keeps everything in memory. The meter counts
// it in the place of NATS from then on.
func (b *bench) startRedis(ctx context.Context) (addr string, err error) {
	path, err := tool("redis-server", "apt-get install redis-server")
	if err != nil {
		return "", err
	}
	redis, err := b.startGateway(ctx, "redis", path, func(addr string) (args, env []string) {
		host, port, _ := net.SplitHostPort(addr)
		return []string{"--bind", host, "--port", port, "--save", "", "--appendonly", "no"}, nil
	})
	if err != nil {
		return "", err
	}
	b.broker = []*harness.Process{redis.Process}
	return redis.Addr, nil
}

// startCentrifugo starts a node of it with settings in its environment.
func (b *bench) startCentrifugo(ctx context.Context, name string, settings ...string) (*harness.Node, error) {
	path, err := tool("centrifugo", "go install "+centrifugoModule)
	if err != nil {
		return nil, err
	}
	return b.startGateway(ctx, name, path, func(addr string) (args, env []string) {
		host, port, _ := net.SplitHostPort(addr)
		return []string{"--config", noConfig}, append(settings, "CENTRIFUGO_HTTP_SERVER_ADDRESS="+host, "CENTRIFUGO_HTTP_SERVER_PORT="+port,
			"CENTRIFUGO_LOG_LEVEL=error", "CENTRIFUGO_CLIENT_INSECURE=true", "CENTRIFUGO_HTTP_API_INSECURE=true",
			"CENTRIFUGO_CLIENT_PING_INTERVAL=1h") // its pings are messages
	})
}

// centrifugo measures requests, connects, idle clients, pushes over NATS, and
// the return of clients whose history is in Redis.
func centrifugo(ctx context.Context, b *bench) error {
	if err := b.centrifugoRelay(ctx); err != nil {
		return err
	}
	node, err := b.startCentrifugo(ctx, "centrifugo with NATS", "CENTRIFUGO_BROKER_ENABLED=true", "CENTRIFUGO_BROKER_TYPE=nats",
		"CENTRIFUGO_BROKER_NATS_URL="+b.nats.URL(), "CENTRIFUGO_BROKER_NATS_RAW_MODE_ENABLED=true")
	if err != nil {
		return err
	}
	if err := b.dials(centrifugoPrefix+"connect", node, dialCentrifugo); err != nil {
		return err
	}
	if err := b.centrifugoPush(ctx, node); err != nil {
		return err
	}
	node.Kill()
	if err := b.centrifugoResume(ctx); err != nil {
		return err
	}
	return b.centrifugoIdle(ctx)
}

// centrifugoRelay measures its library as service does a node: each call of a
// client becomes a NATS request.
func (b *bench) centrifugoRelay(ctx context.Context) error {
	path, err := tool("centrifuge-relay", "go install -C integration/bench/centrifuge-relay .")
	if err != nil {
		return err
	}
	relay, err := b.startGateway(ctx, "centrifuge-relay", path, func(addr string) (args, env []string) {
		return []string{addr, b.nats.URL(), relaySubject}, nil
	})
	if err != nil {
		return err
	}
	err = b.relays(ctx, centrifugoPrefix+"service, 2,000/s", relay, dialCentrifuge, func(s *socket, tag string) *stream {
		calls := &stream{to: s, mark: inMid(tag)}
		calls.send = func() error {
			return s.send(func(dst []byte) []byte {
				n := calls.number()
				dst = append(strconv.AppendUint(append(dst, `{"id":`...), n+1, 10), `,"rpc":{"data":`...)
				return append(appendPublication(dst, s.id, tag+strconv.FormatUint(n, 10)), "}}"...)
			})
		}
		return calls
	})
	relay.Kill()
	return err
}

// centrifugoPush measures messages that a service publishes on NATS.
func (b *bench) centrifugoPush(ctx context.Context, node *harness.Node) error {
	nc, err := b.connect("bench-publisher")
	if err != nil {
		return err
	}
	send := func(_ context.Context, channel, mid string) error {
		return nc.Publish(channel, appendPublication(nil, channel, mid))
	}
	return b.pushes(ctx, centrifugoPrefix+"push", node, dialCentrifugo, send, nc.Flush)
}

// centrifugoIdle measures clients that do nothing.
func (b *bench) centrifugoIdle(ctx context.Context) error {
	node, err := b.startCentrifugo(ctx, "centrifugo alone")
	if err != nil {
		return err
	}
	warm, err := b.fleet(node.Addr, 200, dialCentrifugo)
	resetAll(warm)
	if err == nil {
		err = pause(ctx, b.rest, nil)
	}
	if err != nil {
		return err
	}
	empty, err := privateMemory(node.PID())
	if err != nil {
		return err
	}
	return b.rests(ctx, centrifugoPrefix+"idle", node, dialCentrifugo, float64(empty), nil)
}

// appendPublication appends a message that is as long as what a service of a
// node pushes.
func appendPublication(dst []byte, channel, mid string) []byte {
	dst = append(dst, `{"to":"`...)
	dst = append(dst, channel...)
	dst = append(dst, `@client:/","frm":"bench:/","mid":"`...)
	dst = append(dst, mid...)
	return append(dst, `","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":{"text":"`+pad+`"}}`...)
}

// dialCentrifugo connects and subscribes to a channel of its own, whose name is
// the socket's id and as long as that of a session.
func dialCentrifugo(addr string) (*socket, error) {
	s, _, err := subscribe(addr, fmt.Sprintf("bench%021d", channels.Add(1)), "")
	return s, err
}

// channels numbers them.
var channels atomic.Uint64

// dialCentrifuge connects without a channel.
func dialCentrifuge(addr string) (*socket, error) {
	s, _, err := command(addr, `{"id":1,"connect":{}}`, `"id":1,"connect":`)
	return s, err
}

// subscribe connects and subscribes to a channel, with further fields of the
// subscription. It returns the answer.
func subscribe(addr, channel, fields string) (*socket, []byte, error) {
	s, answer, err := command(addr, `{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"`+channel+`"`+fields+`}}`, `"id":2,"subscribe":`)
	if err == nil {
		s.id = channel
	}
	return s, answer, err
}

// command connects, sends commands, and reads until the message that holds the
// mark of the last answer.
func command(addr, commands, mark string) (*socket, []byte, error) {
	s, err := upgrade(addr, centrifugoPath)
	if err != nil {
		return nil, nil, err
	}
	err = s.send(func(dst []byte) []byte { return append(dst, commands...) })
	for err == nil {
		var text []byte
		text, err = s.next()
		if bytes.Contains(text, []byte(`"error":`)) {
			err = fmt.Errorf("%w: %.300q", errAnswer, text)
		}
		if err == nil && bytes.Contains(text, []byte(mark)) {
			return s, text, nil
		}
	}
	s.reset()
	return nil, nil, err
}

// centrifugoResume is resume for it: clients subscribe on one node, are away
// while each one's channel gets messages, and recover them on another.
func (b *bench) centrifugoResume(ctx context.Context) error {
	redis, err := b.startRedis(ctx)
	if err != nil {
		return err
	}
	settings := []string{"CENTRIFUGO_ENGINE_TYPE=redis", "CENTRIFUGO_ENGINE_REDIS_ADDRESS=redis://" + redis,
		"CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE=1000", "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL=1h",
		"CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_FORCE_RECOVERY=true"}
	away, err := b.startCentrifugo(ctx, "centrifugo away", settings...)
	if err != nil {
		return err
	}
	home, err := b.startCentrifugo(ctx, "centrifugo home", settings...)
	if err != nil {
		return err
	}
	for _, q := range b.resumes {
		if err := b.recoveries(ctx, away, home, q); err != nil {
			return err
		}
	}
	return nil
}

// recoveries measures one queue.
func (b *bench) recoveries(ctx context.Context, away, home *harness.Node, q queue) error {
	places := make([]place, q.sessions)
	err := inParallel(q.sessions, b.parallel, func(i int) (err error) {
		places[i].channel = fmt.Sprintf("bench%021d", channels.Add(1))
		s, answer, err := subscribe(away.Addr, places[i].channel, "")
		if err != nil {
			return err
		}
		defer s.hangUp()
		return places[i].parse(answer)
	})
	if err != nil {
		return err
	}
	for n := range q.messages {
		if err := publishAll(ctx, away, places, queued+strconv.Itoa(n+1)); err != nil {
			return err
		}
	}
	r := &row{name: centrifugoPrefix + "resume " + q.String(), count: q.sessions, delays: make([]time.Duration, q.sessions)}
	ledgers := make([]ledger, q.sessions)
	failed := make([]error, q.sessions)
	err = b.returning(home, r, func(i int) {
		begun := time.Now()
		failed[i] = places[i].recover(home.Addr, &ledgers[i])
		r.delays[i] = time.Since(begun)
	})
	for i := range ledgers {
		r.lost += q.messages - int(ledgers[i].received)
		r.repeated += ledgers[i].repeated
		r.disordered += ledgers[i].disordered
	}
	slices.Sort(r.delays)
	return b.note(r, errors.Join(err, errors.Join(failed...)))
}

// place is where a client was in a channel's history when it left.
type place struct {
	channel string
	epoch   string
	offset  uint64
}

func (p *place) parse(answer []byte) error {
	for line := range bytes.Lines(answer) {
		var reply struct {
			ID        int
			Subscribe struct {
				Epoch  string
				Offset uint64
			}
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return err
		}
		if reply.ID == 2 {
			p.epoch, p.offset = reply.Subscribe.Epoch, reply.Subscribe.Offset
		}
	}
	if p.epoch == "" {
		return fmt.Errorf("%w: %.300q", errAnswer, answer)
	}
	return nil
}

// recover subscribes anew and enters what was missed, which comes in the
// answer. The socket stays open, as those of a node's clients do.
func (p *place) recover(addr string, l *ledger) error {
	_, answer, err := subscribe(addr, p.channel, `,"recover":true,"epoch":"`+p.epoch+`","offset":`+strconv.FormatUint(p.offset, 10))
	if err != nil {
		return err
	}
	mark := inMid(queued)
	for {
		at := bytes.Index(answer, mark)
		if at < 0 {
			return nil
		}
		n, ok := number(answer[at:], mark)
		if !ok {
			return fmt.Errorf("%w: %.300q", errAnswer, answer[at:])
		}
		l.enter(n)
		answer = answer[at+len(mark):]
	}
}

// publishAll publishes a message in every channel over the server's API.
func publishAll(ctx context.Context, node *harness.Node, places []place, mid string) error {
	const most = 1000 // in one request
	for part := range slices.Chunk(places, most) {
		body := []byte(`{"parallel":true,"commands":[`)
		for i, p := range part {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, `{"publish":{"channel":"`+p.channel+`","data":`...)
			body = append(appendPublication(body, p.channel, mid), "}}"...)
		}
		body = append(body, "]}"...)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+node.Addr+"/api/batch", bytes.NewReader(body))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK || strings.Contains(string(answer), `"error"`) {
			return fmt.Errorf("%w: %s: %.300q", errAnswer, response.Status, answer)
		}
	}
	return nil
}
