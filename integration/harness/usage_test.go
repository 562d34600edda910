package harness

import (
	"net"
	"os"
	"runtime"
	"testing"
)

func TestEstablished(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no proc(5)")
	}
	addr := echoServer(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := Established(os.Getpid(), addr)
	if err != nil || len(ports) != 1 {
		t.Errorf("%v, %v; want one", ports, err)
	}
	conn.Close()
	if ports, err := Established(os.Getpid(), addr); err != nil || len(ports) != 0 {
		t.Errorf("%v, %v after its end", ports, err)
	}
}
