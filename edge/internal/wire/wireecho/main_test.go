package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestEcho runs the program as a conformance suite would, and talks to it with
// a client from another library.
func TestEcho(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wireecho")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	transports := []string{"conn"}
	if runtime.GOOS == "linux" {
		transports = append(transports, "epoll")
	}
	for _, transport := range transports {
		for _, compress := range []string{"-compress=false", "-compress"} {
			t.Run(transport+compress, func(t *testing.T) {
				addr := start(t, program, "-listen", "127.0.0.1:0", "-transport", transport, compress, "-max", "20000000")
				ctx := t.Context() // the test does not bound the time of 16 MiB
				c, _, err := websocket.Dial(ctx, "ws://"+addr+"/any/path?x=y", &websocket.DialOptions{
					CompressionMode: websocket.CompressionContextTakeover,
				})
				if err != nil {
					t.Fatal(err)
				}
				c.SetReadLimit(-1)
				for _, n := range []int{0, 1, 1000, 100_000, 16 << 20} {
					roundTrip(t, ctx, c, websocket.MessageText, bytes.Repeat([]byte("wire"), n/4))
					roundTrip(t, ctx, c, websocket.MessageBinary, bytes.Repeat([]byte{0xff}, n))
				}
				if err := c.Ping(pinged(ctx, c)); err != nil {
					t.Errorf("ping: %v", err)
				}
				if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
	}
}

// pinged keeps c reading, without which its pongs are not seen.
func pinged(ctx context.Context, c *websocket.Conn) context.Context {
	c.CloseRead(ctx)
	return ctx
}

func roundTrip(t *testing.T, ctx context.Context, c *websocket.Conn, kind websocket.MessageType, p []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- c.Write(ctx, kind, p) }()
	k, got, err := c.Read(ctx)
	if err != nil || k != kind || !bytes.Equal(got, p) {
		t.Fatalf("%d bytes: %v, %d bytes, %v", len(p), k, len(got), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// start runs the program until the test ends and returns its address.
func start(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append(args, "-attached")...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // closed with this process, however that ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("wireecho: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
