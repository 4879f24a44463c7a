package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a child seen from outside.
type process struct {
	name  string
	at    string // where it listens
	cmd   *exec.Cmd
	in    *json.Encoder
	stdin io.Closer
	lines chan answer // closed at its end
}

// childLimit is how long a child may take for a command.
const childLimit = 3 * time.Minute

// startProcess starts a child. The Rust one is a program of its own, and one program for both roles.
func startProcess(role, name, rust string) (*process, error) {
	var cmd *exec.Cmd
	if name == rustName {
		cmd = exec.Command(rust)
		cmd.Env = append(os.Environ(), fmt.Sprintf("BENCH_NETWORK=%d", benchNetwork.WireByte))
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(self, "child", role, name)
	}
	p, out, err := spawn(name, cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		lines := json.NewDecoder(bufio.NewReader(out))
		for {
			var a answer
			if lines.Decode(&a) != nil {
				return
			}
			p.lines <- a
		}
	}()
	hello, err := p.wait()
	if err != nil {
		p.stop()
		return nil, err
	}
	p.at = hello.At
	return p, nil
}

// spawn starts a program. Who calls it reads out, to its end, into lines, and closes them.
func spawn(name string, cmd *exec.Cmd) (p *process, out io.Reader, err error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &process{name: name, cmd: cmd, in: json.NewEncoder(in), stdin: in, lines: make(chan answer, 1)}, out, nil
}

func (p *process) begin(c command) error { return p.in.Encode(c) }

func (p *process) wait() (answer, error) {
	limit := time.NewTimer(childLimit)
	defer limit.Stop()
	select {
	case a, ok := <-p.lines:
		switch {
		case !ok:
			return a, fmt.Errorf("%s: the child has ended", p.name)
		case !a.OK:
			return a, fmt.Errorf("%s: %s", p.name, a.Error)
		}
		return a, nil
	case <-limit.C:
		return answer{}, fmt.Errorf("%s: no answer in %s", p.name, childLimit)
	}
}

func (p *process) do(c command) (answer, error) {
	if err := p.begin(c); err != nil {
		return answer{}, err
	}
	return p.wait()
}

// stop ends the child, by its process id if it does not end by itself.
func (p *process) stop() {
	_ = p.begin(command{Cmd: "quit"})
	_ = p.stdin.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range p.lines { // until it ends, so that no answer holds it up
		}
		_ = p.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
	}
}

// cpu is the time that the process has used, in user mode and in the kernel.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is not what it was")
	}
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 on all platforms of Linux
}

// resident is the memory of the process, in bytes.
func (p *process) resident() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, resident int
	_, err = fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize(), err
}
