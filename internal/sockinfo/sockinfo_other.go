//go:build !linux

package sockinfo

import (
	"net"
	"time"
)

func unacked(*net.TCPConn) (int64, bool) { return 0, false }

func timing(*net.TCPConn) (Timing, bool) { return Timing{}, false }

func quiet(*net.TCPConn) (Quiet, bool) { return Quiet{}, false }

func limitUnacked(*net.TCPConn, time.Duration) {}

func limitUnsent(*net.TCPConn, int) {}
