//go:build !linux

package wire

import "errors"

const haveEpoll = false

var (
	errAgain       = errors.New("wire: would block")
	errUnsupported = errors.New("wire: raw descriptors need epoll")
)

func newPoller(Transport) (poller, error) { return newParker(), nil }

// Without epoll no connection has a raw descriptor: Options.setDefaults refuses
// the transport, and the functions below are never reached.

func (l *Loop) register(*Conn) error    { return errUnsupported }
func (l *Loop) watchWrites(*Conn) error { return errUnsupported }
func (l *Loop) unregister(*Conn)        {}

func sysRead(int32, []byte) (int, error)  { return 0, errUnsupported }
func sysWrite(int32, []byte) (int, error) { return 0, errUnsupported }
func sysClose(int32)                      {}
func sysShutdown(int32)                   {}
func sysLinger(int32)                     {}

func (c *Conn) acked() (bytes uint32, waiting, ok bool) { return 0, false, false }

func (c *Conn) notSent() bool { return false }
