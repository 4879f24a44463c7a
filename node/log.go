package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// LogLevels are what the process of a node logs, in that program's own words; tari-libp2p's are those of its option --log.
type LogLevels struct {
	Levels string `json:"levels"`
}

// HandleLog has the control API tell and change what the program logs: change is called with the levels that a user asks for, or with ""
// for the present ones, and returns those that hold then. Its errors are the user's fault. To be called before ServeControl.
func (n *Node) HandleLog(change func(levels string) (now string, err error)) { n.log = change }

func (n *Node) logLevels(levels string) (any, error) {
	switch {
	case n.Host == nil:
		return nil, fail(FailUnreachable, n.notRunning())
	case n.log == nil:
		return nil, fail(FailRefused, errors.New("node: this node's program does not say what it logs"))
	}
	now, err := n.log(levels)
	if err != nil {
		return nil, fail(FailUsage, fmt.Errorf("node: log levels: %w", err))
	}
	return LogLevels{now}, nil
}

// Log tells what the running node logs and, if levels is not empty, has it log as levels say until it ends.
func (c *Client) Log(ctx context.Context, levels string) (LogLevels, error) {
	if levels == "" {
		return call[LogLevels](ctx, c, http.MethodGet, "/v1/log", nil, nil)
	}
	return call[LogLevels](ctx, c, http.MethodPut, "/v1/log", url.Values{"levels": {levels}}, nil)
}

// notRunning is the error for what only a running node can do.
func (n *Node) notRunning() error {
	return fmt.Errorf(`node: no node runs in %s; "tari-libp2p run" starts one`, n.config.DataDir)
}
