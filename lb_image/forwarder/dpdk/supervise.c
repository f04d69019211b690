// SPDX-License-Identifier: Apache-2.0

#include "supervise.h"

#include "channel.h"

#include <control_server.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 128
// So many crashes in so long, and it is for others to try again.
#define CRASHES_MAX 3
#define CRASHES_WITHIN_MS 10000
#define REPLACE_TIMEOUT_MS 10000 // for the one that is told to end

struct child {
	pid_t pid; // 0: none
	int fd;
	bool was_spare;
	bool runs; // it has said so
};

struct supervisor {
	char **argv;
	sigset_t before; // the mask that children get
	struct child forwarder;
	struct child spare;
	uint32_t restarts;
	uint64_t crashes_ms[CRASHES_MAX]; // the last ones, by number
	unsigned n_crashes;
	bool ends;        // told to
	bool replaces;    // SIGHUP: as soon as the spare is ready, or cannot be
	uint64_t kill_ms; // when the forwarder that does not end is killed, 0: never
	int status;       // ours, when `done`
	bool done;
};

static uint64_t now_ms(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void close_channel(struct child *child) {
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
}

// Only between fork and exec.
static _Noreturn void become(const struct supervisor *supervisor, int fd, bool spare) {
	char channel[32], restarts[32], as_spare[] = "--spare";
	char *arguments[ARGUMENTS_MAX + 6];
	int count = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(fd, F_SETFD, 0);
	sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
	snprintf(channel, sizeof(channel), "--channel=%d", fd);
	snprintf(restarts, sizeof(restarts), "--restarts=%u", supervisor->restarts);
	arguments[count++] = supervisor->argv[0];
	arguments[count++] = channel;
	arguments[count++] = restarts;
	if (spare)
		arguments[count++] = as_spare;
	for (char **argument = supervisor->argv + 1; *argument != NULL; argument++) {
		if (strcmp(*argument, "--supervise") != 0 && count < ARGUMENTS_MAX)
			arguments[count++] = *argument;
	}
	arguments[count] = NULL;
	execvp(arguments[0], arguments);
	fprintf(stderr, "skylane-fwd: %s: %s\n", arguments[0], strerror(errno));
	_exit(127);
}

static bool start(struct supervisor *supervisor, struct child *child, bool spare) {
	int fds[2];

	*child = (struct child){.fd = -1, .was_spare = spare};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return false;
	child->pid = fork();
	if (child->pid == 0) {
		become(supervisor, fds[1], spare);
	}
	close(fds[1]);
	child->fd = fds[0];
	if (child->pid > 0)
		return true;
	close(child->fd);
	*child = (struct child){.fd = -1};
	return false;
}

static void end(struct supervisor *supervisor, int status) {
	supervisor->status = status;
	supervisor->done = true;
}

static void start_forwarder(struct supervisor *supervisor) {
	if (start(supervisor, &supervisor->forwarder, false))
		return;
	fprintf(stderr, "skylane-fwd: no process can be started: %s\n", strerror(errno));
	end(supervisor, 1);
}

// The spare where there is one, even one that is not ready yet: it is ahead of a new one.
static void start_next(struct supervisor *supervisor) {
	struct channel_go go = {supervisor->restarts};
	struct child *spare = &supervisor->spare;

	if (spare->pid != 0 && send(spare->fd, &go, sizeof(go), MSG_NOSIGNAL) == sizeof(go)) {
		supervisor->forwarder = *spare;
		*spare = (struct child){.fd = -1};
		return;
	}
	start_forwarder(supervisor);
}

static bool crashes_too_often(struct supervisor *supervisor) {
	uint64_t now = now_ms(),
		 *oldest = &supervisor->crashes_ms[supervisor->n_crashes % CRASHES_MAX];
	bool often;

	*oldest = now;
	supervisor->n_crashes++;
	oldest = &supervisor->crashes_ms[supervisor->n_crashes % CRASHES_MAX];
	often = supervisor->n_crashes >= CRASHES_MAX && now - *oldest < CRASHES_WITHIN_MS;
	if (often)
		fprintf(stderr,
			"skylane-fwd: %d crashes within %d s: giving up\n",
			CRASHES_MAX,
			CRASHES_WITHIN_MS / 1000);
	return often;
}

static void forwarder_ended(struct supervisor *supervisor, int status) {
	struct child ended = supervisor->forwarder;
	bool crashed = WIFSIGNALED(status);
	int code = crashed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	close_channel(&ended);
	supervisor->forwarder = (struct child){.fd = -1};
	supervisor->kill_ms = 0;
	if (supervisor->ends) {
		end(supervisor, code);
	} else if (supervisor->replaces) {
		supervisor->replaces = false;
		supervisor->restarts++;
		start_next(supervisor);
	} else if (ended.was_spare && !ended.runs && !crashed) {
		fprintf(stderr, "skylane-fwd: the spare could not take over, starting another\n");
		start_forwarder(supervisor);
	} else if (!crashed || crashes_too_often(supervisor)) {
		end(supervisor, code);
	} else {
		supervisor->restarts++;
		fprintf(stderr,
			"skylane-fwd: the forwarder was ended by signal %d, restart %u\n",
			WTERMSIG(status),
			supervisor->restarts);
		start_next(supervisor);
	}
}

// Now or, if it does not listen, by force.
static void tell_to_end(struct supervisor *supervisor) {
	if (supervisor->forwarder.pid == 0)
		return;
	kill(supervisor->forwarder.pid, SIGTERM);
	if (supervisor->replaces)
		supervisor->kill_ms = now_ms() + REPLACE_TIMEOUT_MS;
}

static void drop_spare(struct supervisor *supervisor) {
	if (supervisor->spare.pid == 0)
		return;
	kill(supervisor->spare.pid, SIGKILL);
	close_channel(&supervisor->spare);
	supervisor->spare = (struct child){.fd = -1};
}

// As process 1 of a container it may be given others' children.
static void reap(struct supervisor *supervisor) {
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == supervisor->forwarder.pid) {
			forwarder_ended(supervisor, status);
		} else if (pid == supervisor->spare.pid) {
			close_channel(&supervisor->spare);
			supervisor->spare = (struct child){.fd = -1};
			if (supervisor->replaces)
				tell_to_end(supervisor);
		}
	}
}

static void take_signal(struct supervisor *supervisor, int fd) {
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(supervisor);
		break;
	case SIGHUP:
		drop_spare(supervisor);
		supervisor->replaces = true;
		if (!start(supervisor, &supervisor->spare, true))
			tell_to_end(supervisor);
		break;
	default:
		supervisor->ends = true;
		drop_spare(supervisor);
		tell_to_end(supervisor);
	}
}

// What a child says; a spare is made when the forwarder runs, so that it is not in its way.
static void listen_to(struct supervisor *supervisor, struct child *child) {
	char what = 0;

	if (recv(child->fd, &what, 1, MSG_DONTWAIT) == 0) {
		// It has ended: SIGCHLD comes.
		close_channel(child);
	} else if (what == CHANNEL_RUNNING) {
		child->runs = true;
		if (supervisor->spare.pid == 0 && !supervisor->ends)
			start(supervisor, &supervisor->spare, true);
	} else if (what == CHANNEL_READY && supervisor->replaces) {
		tell_to_end(supervisor);
	}
}

// That it is taken is the answer.
static void take_connection(int listener) {
	int client = accept(listener, NULL, NULL);

	if (client >= 0)
		close(client);
}

static void wait_for_events(struct supervisor *supervisor, int signals, int listener) {
	struct pollfd events[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = supervisor->forwarder.fd, .events = POLLIN},
		{.fd = supervisor->spare.fd, .events = POLLIN},
		{.fd = listener, .events = POLLIN},
	};
	uint64_t now = now_ms();
	int timeout = -1;

	if (supervisor->kill_ms != 0)
		timeout = supervisor->kill_ms > now ? (int)(supervisor->kill_ms - now) : 0;
	if (poll(events, 4, timeout) == 0 && supervisor->forwarder.pid != 0) {
		kill(supervisor->forwarder.pid, SIGKILL);
		supervisor->kill_ms = 0;
	}
	if (events[1].revents != 0)
		listen_to(supervisor, &supervisor->forwarder);
	if (events[2].revents != 0)
		listen_to(supervisor, &supervisor->spare);
	if (events[3].revents != 0)
		take_connection(listener);
	if (events[0].revents != 0)
		take_signal(supervisor, signals);
}

int supervise_run(const struct options *options, char **argv) {
	struct supervisor supervisor = {
		.argv = argv,
		.forwarder = {.fd = -1},
		.spare = {.fd = -1},
	};
	int signals, listener;
	char path[4096];
	sigset_t mask;

	snprintf(path, sizeof(path), "%s.supervisor", options->control_path);
	listener = control_server_listen(path);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, &supervisor.before);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	if (signals < 0 || listener < 0) {
		fprintf(stderr, "skylane-fwd: %s: %s\n", path, strerror(errno));
		return 1;
	}
	start_forwarder(&supervisor);
	while (!supervisor.done)
		wait_for_events(&supervisor, signals, listener);
	drop_spare(&supervisor);
	close(listener);
	unlink(path);
	return supervisor.status;
}
