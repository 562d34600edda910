package shard

import (
	"net/netip"
	"slices"
	"time"

	"hydrant/edge/internal/wire"
)

// fakeSocket is one end of a connection, with the queue to the other end, which
// is a testClient. It does as package wire does.
type fakeSocket struct {
	s    *testShard
	peer *testClient
	c    *Client
	addr netip.AddrPort

	state  socketState
	queue  []frame // to the client
	inbox  []frame // from the client; like TCP, it keeps what is not read
	paused bool
	frozen bool
	holds  time.Duration // the answer to the handshake
	stuck  bool          // the client does not read
	takes  bool          // TakeRest
	hungUp bool          // the client has ended its stream
	noRoom bool
	over   int       // bytes of the frame with which the room ran out
	woken  bool      // a turn is due
	extra  int       // bytes of memory beside the queue
	came   wire.Mark // counts what was read
}

type socketState uint8

const (
	socketOpen socketState = iota
	socketClosing
	socketClosed
)

// frame is one frame of WebSocket.
type frame struct {
	kind frameKind
	data []byte
	code int // of a close
}

type frameKind uint8

const (
	textFrame frameKind = iota
	pingFrame
	pongFrame
	closeFrame
)

func (k *fakeSocket) bound() int { return int(k.s.node.Config.WriteBuffer) }

// Send implements [Socket].
func (k *fakeSocket) Send(p []byte) (queued, room bool) {
	if k.state != socketOpen {
		return false, false
	}
	before := k.Buffered()
	if before >= 2*k.bound()+k.over {
		k.noRoom = true
		return false, false
	}
	if before < k.bound() && before+len(p) >= k.bound() {
		k.over = len(p)
	}
	k.queue = append(k.queue, frame{kind: textFrame, data: slices.Clone(p)})
	k.noRoom = k.noRoom || before+len(p) >= k.bound()
	return true, before+len(p) < k.bound()
}

// Ping implements [Socket].
func (k *fakeSocket) Ping(p []byte) {
	if k.state == socketOpen {
		k.queue = append(k.queue, frame{kind: pingFrame, data: slices.Clone(p)})
	}
}

// Close implements [Socket].
func (k *fakeSocket) Close(code int, reason string) {
	if k.state != socketOpen {
		return
	}
	k.queue = append(k.queue, frame{closeFrame, []byte(reason), code})
	k.state = socketClosing
	if !k.takes {
		k.Resume()
	}
}

// Discard implements [Socket].
func (k *fakeSocket) Discard(code int, reason string) {
	switch {
	case k.state == socketClosing && k.frozen:
		k.queue = k.queue[len(k.queue)-1:]
		k.frozen = false
	case k.state == socketOpen:
		k.queue, k.frozen = nil, false
		k.Close(code, reason)
	}
}

// TakeRest implements [Socket].
func (k *fakeSocket) TakeRest() { k.takes = true }

// Pause implements [Socket].
func (k *fakeSocket) Pause() { k.paused = k.paused || k.state == socketOpen || k.takes }

// Resume implements [Socket].
func (k *fakeSocket) Resume() {
	k.paused = false
	k.wake()
}

// Hold implements [Socket].
func (k *fakeSocket) Hold(d time.Duration) { k.holds = d }

// Freeze implements [Socket].
func (k *fakeSocket) Freeze() { k.frozen = true }

// Thaw implements [Socket].
func (k *fakeSocket) Thaw() { k.frozen = false }

// Full implements [Socket].
func (k *fakeSocket) Full() bool { return k.noRoom }

// Buffered implements [Socket].
func (k *fakeSocket) Buffered() (n int) {
	for _, f := range k.queue {
		n += len(f.data)
	}
	return n
}

// Footprint implements [Socket].
func (k *fakeSocket) Footprint() int { return k.extra + k.Buffered() }

// HungUp implements [Socket].
func (k *fakeSocket) HungUp() bool { return k.hungUp }

// Mark implements [Socket]: marks count what the client has sent.
func (k *fakeSocket) Mark() wire.Mark { return k.came }

// HeardSince implements [Socket].
func (k *fakeSocket) HeardSince(m wire.Mark) bool { return k.came != m }

// Unsent implements [Socket].
func (k *fakeSocket) Unsent() bool { return k.Buffered() > 0 }

// PingWaits implements [Socket].
func (k *fakeSocket) PingWaits(p []byte) bool {
	return slices.ContainsFunc(k.queue, func(f frame) bool { return f.kind == pingFrame && string(f.data) == string(p) })
}

// RemoteAddr implements [Socket].
func (k *fakeSocket) RemoteAddr() netip.AddrPort { return k.addr }

// flush ends an iteration of the loop: the queue leaves.
func (k *fakeSocket) flush() {
	if k.state == socketClosed || k.frozen || k.stuck {
		return
	}
	queue := k.queue
	k.queue = nil
	for _, f := range queue {
		k.peer.receive(f)
	}
	if k.noRoom && k.state == socketOpen {
		k.noRoom = false
		k.s.post(func() {
			if k.state == socketOpen {
				k.c.Writable()
			}
		})
	}
}

// come takes a frame of the client.
func (k *fakeSocket) come(f frame) {
	k.inbox = append(k.inbox, f)
	k.wake()
}

// wake has the loop read what is there.
func (k *fakeSocket) wake() {
	if !k.woken {
		k.woken = true
		k.s.post(k.turn)
	}
}

// turn reads until there is nothing, or the reading is stopped.
func (k *fakeSocket) turn() {
	k.woken = false
	for len(k.inbox) > 0 && !k.paused && k.state != socketClosed {
		f := k.inbox[0]
		k.inbox = k.inbox[1:]
		k.came++
		switch {
		case f.kind == pongFrame:
			k.c.Pong(f.data)
		case f.kind == closeFrame:
			k.end()
		case k.state == socketOpen || k.takes:
			k.c.Message(f.data)
			for i := range f.data { // it was borrowed
				f.data[i] = 0xdb
			}
		}
	}
}

// hangUp ends the client's stream: what it has sent is still read.
func (k *fakeSocket) hangUp() {
	k.hungUp = true
	if k.paused {
		k.c.Hangup()
	}
	k.inbox = append(k.inbox, frame{kind: closeFrame})
	k.wake()
}

// end is the end of the connection.
func (k *fakeSocket) end() {
	if k.state != socketClosed {
		k.state, k.queue, k.inbox = socketClosed, nil, nil
		k.s.sockets = slices.DeleteFunc(slices.Clone(k.s.sockets), func(other *fakeSocket) bool { return other == k })
		k.c.Closed()
	}
}
