// Package xproto is a trial.
package xproto

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func num(name string) int { n, _ := strconv.Atoi(os.Getenv(name)); return n }

var (
	Piece = num("X_PIECE") << 10
	HTTP  = num("X_HTTP")
	B64   = num("X_B64")
	mode  = os.Getenv("X_MODE")
	usec  = num("X_USEC")
	RCV   = num("X_RCV") << 10
	SND   = num("X_SND") << 10
	READ  = num("X_READ")
)

func Yield() {
	switch mode {
	case "gosched":
		runtime.Gosched()
	case "yield":
		syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	case "nano":
		t := syscall.Timespec{Nsec: int64(usec) * 1000}
		_ = syscall.Nanosleep(&t, nil)
	case "rawnano":
		t := syscall.Timespec{Nsec: int64(usec) * 1000}
		rawnano(&t)
	case "sleep":
		time.Sleep(time.Duration(usec) * time.Microsecond)
	}
}

type Conn struct {
	net.Conn
	read int
}

func Wrap(c net.Conn) net.Conn {
	if t, ok := c.(*net.TCPConn); ok {
		if RCV > 0 {
			_ = t.SetReadBuffer(RCV)
		}
		if SND > 0 {
			_ = t.SetWriteBuffer(SND)
		}
	}
	if Piece == 0 {
		return c
	}
	return &Conn{Conn: c}
}

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if READ > 0 {
		if c.read += n; c.read > Piece {
			c.read = 0
			Yield()
		}
	}
	return n, err
}

func (c *Conn) Write(p []byte) (n int, err error) { return Write(c.Conn.Write, p) }

func Write(w func([]byte) (int, error), p []byte) (n int, err error) {
	for len(p) > Piece {
		k, err := w(p[:Piece])
		n += k
		if err != nil {
			return n, err
		}
		p = p[Piece:]
		Yield()
	}
	k, err := w(p)
	return n + k, err
}
