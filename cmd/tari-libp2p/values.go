package main

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The values of options that make no sense with any number or any text. The error of Set follows the option's name.

// positive is a number above 0.
type positive int

func (p *positive) Type() string   { return "number" }
func (p *positive) String() string { return strconv.Itoa(int(*p)) }

func (p *positive) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("a number above 0")
	}
	*p = positive(n)
	return nil
}

// period is a time above 0.
type period time.Duration

func (p *period) Type() string   { return "time" }
func (p *period) String() string { return time.Duration(*p).String() }

func (p *period) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("a time above 0, such as 500ms, 5s or 2m")
	}
	*p = period(d)
	return nil
}

// timeoutFlag bounds all that a command does.
func timeoutFlag(cmd *cobra.Command, timeout *time.Duration) {
	*timeout = time.Minute
	cmd.Flags().Var((*period)(timeout), "timeout", "give up after this `time`")
}

// hostPort is HOST:PORT, or nothing.
type hostPort string

func (h *hostPort) Type() string   { return "HOST:PORT" }
func (h *hostPort) String() string { return string(*h) }

func (h *hostPort) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if _, wrong := strconv.ParseUint(port, 10, 16); text != "" && (err != nil || wrong != nil || host == "") {
		return errors.New("HOST:PORT, such as 127.0.0.1:9050")
	}
	*h = hostPort(text)
	return nil
}

// controlPort is HOST:PORT or the path of a Unix socket.
type controlPort string

func (c *controlPort) Type() string   { return "HOST:PORT" }
func (c *controlPort) String() string { return string(*c) }

func (c *controlPort) Set(text string) error {
	var at hostPort
	if !strings.HasPrefix(text, "/") && at.Set(text) != nil {
		return errors.New("HOST:PORT, such as 127.0.0.1:9051, or the whole path of a socket")
	}
	*c = controlPort(text)
	return nil
}
