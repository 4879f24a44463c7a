package linkwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen gives a hint for each message of the kernel about links, addresses and routes; nil if it will not tell us. stop waits for the
// goroutine that listens.
func listen(ctx context.Context) (hints <-chan struct{}, stop func()) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, func() {}
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, func() {}
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	closing := context.AfterFunc(ctx, func() { socket.Close() })
	out := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		defer socket.Close()
		buf := make([]byte, 64<<10)
		for {
			// What the messages say does not matter: we look for ourselves. ENOBUFS means that some were lost.
			if _, err := socket.Read(buf); err != nil && !isAny(err, syscall.ENOBUFS, syscall.EINTR) {
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, func() {
		closing()
		socket.Close()
		<-done
	}
}

func isAny(err error, targets ...syscall.Errno) bool {
	return slices.ContainsFunc(targets, func(t syscall.Errno) bool { return errors.Is(err, t) })
}

// defaultRoutes names the routes to everywhere: through which interface and gateway.
func defaultRoutes() string {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_UNSPEC)
	if err != nil {
		return ""
	}
	return routesIn(table)
}

// routesIn reads the kernel's answer.
func routesIn(table []byte) string {
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return ""
	}
	var routes []string
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
			continue
		}
		// struct rtmsg: family, bits of the destination, …, table, protocol, scope, type.
		if m.Data[1] != 0 || m.Data[4] != unix.RT_TABLE_MAIN || m.Data[7] != unix.RTN_UNICAST {
			continue
		}
		routes = append(routes, fmt.Sprint(m.Data[0])+wayOf(m.Data[syscall.SizeofRtMsg:]))
	}
	slices.Sort(routes)
	return strings.Join(routes, ", ")
}

// wayOf reads the gateway and the interface among a route's attributes, each of which begins with its length and type. The parser of
// package syscall panics if the last one is not padded.
func wayOf(attributes []byte) (way string) {
	for len(attributes) >= syscall.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(attributes))
		if size < syscall.SizeofRtAttr || size > len(attributes) {
			break
		}
		value := attributes[syscall.SizeofRtAttr:size]
		switch binary.NativeEndian.Uint16(attributes[2:]) {
		case syscall.RTA_GATEWAY:
			way += fmt.Sprintf(" via %x", value)
		case syscall.RTA_OIF:
			way += fmt.Sprintf(" dev %x", value)
		}
		attributes = attributes[min((size+3)&^3, len(attributes)):]
	}
	return way
}
