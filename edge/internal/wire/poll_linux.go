package wire

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const epollBatch = 256 // events taken at once

// epoll is an epoll instance that is itself registered in Go's poller, so that a
// sleeping loop is a parked goroutine and not a blocked thread. The read deadline
// of that registration is both its alarm clock and the way in which other
// goroutines wake it: the runtime makes the loop runnable without a system call.
// An eventfd would cost one on each side, and a descriptor.
type epoll struct {
	// Immutable after newEpoll.
	file *os.File
	raw  syscall.RawConn
	fd   int
	poll func(uintptr) bool // p.collect, made once

	// Owned by the loop.
	events [epollBatch]unix.EpollEvent
	n      int
	armed  time.Time // zero: the deadline has passed
}

func newPoller(t Transport) (poller, error) {
	if t == TransportEpoll {
		return newEpoll()
	}
	return newParker(), nil
}

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// os.NewFile registers only descriptors that are non-blocking already.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &epoll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	p.poll = p.collect
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails unless registered
	}
	if err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

func (p *epoll) arm(due, now time.Time) {
	if p.armed.After(now) && !due.Before(p.armed) {
		return // at worst the wait ends early and arms the poller anew
	}
	p.armed = due
	_ = p.file.SetReadDeadline(due)
}

// wake makes the deadline pass. If the loop is about to set a new one, it has found
// the new task already (Loop.sleep).
func (p *epoll) wake() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) }

func (p *epoll) wait(block bool) error {
	p.n = 0
	if !block {
		p.collect(0)
		return nil
	}
	err := p.raw.Read(p.poll)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.armed = time.Time{}
		p.collect(0)
		err = nil
	}
	return err
}

// collect takes the events that are ready, without waiting. It does not need the
// argument, since it asks the loop's epoll instance and not Go's.
func (p *epoll) collect(uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events)), epollBatch, 0, 0, 0)
		switch errno {
		case 0:
			p.n = int(n)
			return n > 0
		case unix.EINTR:
		default:
			return true // the descriptor is gone: the next Read of wait will report it
		}
	}
}

func (p *epoll) dispatch(l *Loop) {
	for i := range p.n {
		e := &p.events[i]
		l.ready(uint32(e.Fd), uint32(e.Pad),
			e.Events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0,
			e.Events&unix.EPOLLOUT != 0,
			e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
	}
}

func (p *epoll) close() error { return p.file.Close() }

// epollEvent returns an event that carries slot and generation: they show that an
// event is stale when its descriptor number was reused meanwhile.
func epollEvent(c *Conn, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events | unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.slot), Pad: int32(c.gen)}
}

// register makes epoll report when the connection's descriptor can be read.
func (l *Loop) register(c *Conn) error {
	p := l.poll.(*epoll)
	return sysEpollCtl(p.fd, unix.EPOLL_CTL_ADD, c.fd, epollEvent(c, 0))
}

// watchWrites makes epoll report also when the descriptor can be written again.
func (l *Loop) watchWrites(c *Conn) error {
	p := l.poll.(*epoll)
	return sysEpollCtl(p.fd, unix.EPOLL_CTL_MOD, c.fd, epollEvent(c, unix.EPOLLOUT))
}

// unregister removes a descriptor that stays open.
func (l *Loop) unregister(c *Conn) {
	p := l.poll.(*epoll)
	_ = sysEpollCtl(p.fd, unix.EPOLL_CTL_DEL, c.fd, nil)
}
