package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Who the abusers are, all at once.
const (
	slowHandshakes = 5000 // a byte a second
	neverReaders   = 100  // send and do not read
	repeatBombs    = 250 * time.Millisecond
)

// What the server allows them, see wire.Options.
const (
	writeBuffer = 256 << 10 // twice this can be queued for one that does not read
	readBuffer  = 64 << 10  // and this be left unparsed
	longestHead = 8 << 10
	maxMessage  = 1 << 20
)

// abuseBound is the memory that the abusers may cost the server, and as much
// again that the collector lets lie.
const abuseBound = 2 * (neverReaders*(2*writeBuffer+readBuffer) + slowHandshakes*longestHead + 3*maxMessage)

var errMemory = errors.New("memory over what the limits allow")

// underAbuse measures well-behaved clients before and during abuse.
func underAbuse(wireecho string) error {
	for _, transport := range []string{"epoll", "conn"} {
		if err := abuseOf(wireecho, transport); err != nil {
			return fmt.Errorf("%s: %w", transport, err)
		}
	}
	return nil
}

// abuseOf measures three times: in peace, while another server on this machine
// is abused, which shows what the abusers' own use of the processors does, and
// while the server itself is.
func abuseOf(wireecho, transport string) error {
	c := contestant{args: []string{wireecho, "-push", "-transport", transport, "-max", strconv.Itoa(maxMessage), "-fragments", "1024"}}
	srv, addr, err := c.server()
	if err != nil {
		return err
	}
	defer srv.stop()
	var peace int64
	good := job{Addr: addr, Conns: 100, Size: 128, Time: 8 * time.Second, Pause: 50 * time.Millisecond, Work: "echo"}
	other, elsewhere, err := c.server()
	if err != nil {
		return err
	}
	defer other.stop()
	for _, phase := range []struct{ name, victim string }{
		{"in peace", ""}, {"another abused", elsewhere}, {"abused", addr},
	} {
		r, err := during(srv, good, phase.victim)
		if err != nil {
			return err
		}
		rss, err := srv.rss()
		if err != nil {
			return err
		}
		fmt.Printf("wire-%-6s %-15s p50 %7.2f ms, p99 %7.2f ms, RSS %6.1f MB\n", transport, phase.name,
			float64(r.P50)/1e6, float64(r.P99)/1e6, float64(rss)/(1<<20))
		if peace == 0 {
			peace = rss
		}
		if rss > peace+abuseBound {
			return fmt.Errorf("%w: %d MB", errMemory, (peace+abuseBound)>>20)
		}
	}
	return nil
}

// during measures the good clients while a victim is abused.
func during(srv *process, good job, victim string) (result, error) {
	if victim != "" {
		bad, err := load(job{Addr: victim, Work: "abuse"})
		if err != nil {
			return result{}, err
		}
		defer bad.stop()
		if _, err := bad.in.Write([]byte("\n")); err != nil {
			return result{}, err
		}
		if s, err := bad.line(); s != "abusing" {
			return result{}, fmt.Errorf("abuser: %q %w", s, err)
		}
	}
	_, r, err := do(srv, good)
	return r, err
}

// abuse does everything at once until its input ends. "abusing" says that the
// slow handshakes and the clients that do not read are in place.
func abuse(j *job, in *bufio.Reader) error {
	var slow []net.Conn
	silent := *j
	silent.Raw = true
	for i := range slowHandshakes {
		c, err := dial(&silent, i)
		if err != nil {
			return err
		}
		slow = append(slow, c)
	}
	go func() {
		for i := 0; ; i++ {
			for k, c := range slow {
				if _, err := c.Write([]byte{request[i%40]}); err == nil {
					continue
				}
				_ = c.Close() // its time was up: the next one
				if c, err := dial(&silent, k); err == nil {
					slow[k] = c
				}
			}
			time.Sleep(time.Second)
		}
	}()
	var ready sync.WaitGroup
	for range neverReaders {
		ready.Add(1)
		go neverRead(j, &ready)
	}
	ready.Wait()
	for _, bomb := range bombs() {
		go func() {
			for {
				explode(j, bomb)
				time.Sleep(repeatBombs)
			}
		}()
	}
	fmt.Println("abusing")
	_, err := io.Copy(io.Discard, in)
	return err
}

// neverRead sends until nothing more is taken.
func neverRead(j *job, ready *sync.WaitGroup) {
	c, err := dial(j, 0)
	ready.Done()
	if err != nil {
		return
	}
	message := frame(make([]byte, 10_000))
	for err == nil {
		_, err = c.Write(message)
	}
}

// bombs are what one connection sends, behind its upgrade unless it is HTTP.
func bombs() [][]byte {
	fragments := append([]byte{0x01, 0x80, 0, 0, 0, 0}, bytes.Repeat([]byte{0x00, 0x80, 0, 0, 0, 0}, 100_000)...)
	huge := append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, 16<<30), 0, 0, 0, 0)
	huge = append(huge, make([]byte, 64<<10)...)
	header := append([]byte("GET / HTTP/1.1\r\nX: "), bytes.Repeat([]byte("x"), 1<<20)...)
	return [][]byte{fragments, huge, header}
}

func explode(j *job, bomb []byte) {
	http := *j
	http.Raw = bytes.HasPrefix(bomb, []byte("GET"))
	c, err := dial(&http, 0)
	if err != nil {
		return
	}
	defer c.Close()
	_, err = c.Write(bomb)
	if err == nil || !errors.Is(err, net.ErrClosed) {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c)
	}
}
