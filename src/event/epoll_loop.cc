// Edge-triggered epoll. A watch is registered once for reading, writing and hang-up, so a steady
// connection costs no epoll_ctl. Events for watches that died earlier in the same turn are skipped
// by nulling their slot: the kernel may still report them in the batch already fetched.
#include "event/epoll_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

namespace lateen::event {
namespace {

class EpollLoop;

class EpollWatch final : public FdWatch {
 public:
  EpollWatch(EpollLoop& loop, int fd, Function<void(Ready)> on_ready)
      : loop_(loop), fd_(fd), on_ready_(std::move(on_ready)) {}
  ~EpollWatch() override;

  int fd() const { return fd_; }
  void fire(std::uint32_t events) {
    on_ready_({(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0,
               (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
               (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0});
  }

 private:
  EpollLoop& loop_;
  int fd_;
  Function<void(Ready)> on_ready_;
};

class EpollLoop final : public Loop {
 public:
  EpollLoop(const Clock& clock, std::unique_ptr<Random> random, int epoll_fd, int wake_fd)
      : clock_(clock), random_(std::move(random)), epoll_fd_(epoll_fd), wake_fd_(wake_fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
    now_ = clock_.steady();
  }
  ~EpollLoop() override {
    posted_.clear();
    deferred_.clear();
    ::close(epoll_fd_);
    ::close(wake_fd_);
  }

  SteadyTime now() const override { return now_; }
  const Clock& clock() const override { return clock_; }
  Random& random() override { return *random_; }

  void post(Function<void()> task) override {
    bool must_wake;
    {
      std::lock_guard lock(mutex_);
      must_wake = posted_.empty();
      posted_.push_back(std::move(task));
    }
    if (must_wake && !is_loop_thread()) wake();
  }
  void defer(Function<void()> task) override { deferred_.push_back(std::move(task)); }

  std::unique_ptr<FdWatch> watch(int fd, Function<void(FdWatch::Ready)> on_ready) override {
    auto watch = std::make_unique<EpollWatch>(*this, fd, std::move(on_ready));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = watch.get();
    const int rc = epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
    CHECK(rc == 0);
    return watch;
  }

  void run() override {
    thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    while (!is_stopped_.load(std::memory_order_acquire)) turn();
    is_stopped_.store(false);
  }
  void stop() override {
    is_stopped_.store(true, std::memory_order_release);
    wake();
  }
  bool is_loop_thread() const override {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  void forget(EpollWatch* watch) {
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, watch->fd(), nullptr);
    for (int i = batch_at_; i < batch_count_; ++i) {
      if (batch_[i].data.ptr == watch) batch_[i].data.ptr = &kDead;
    }
  }

 private:
  static constexpr int kBatch = 256;
  static inline char kDead = 0;

  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
  }

  int wait_millis() {
    if (!deferred_.empty()) return 0;
    {
      std::lock_guard lock(mutex_);
      if (!posted_.empty()) return 0;
    }
    if (timers_.empty()) return -1;
    const auto left = timers_.next_due() - clock_.steady();
    if (left <= nanoseconds(0)) return 0;
    const auto millis = std::chrono::ceil<milliseconds>(left).count();
    return millis > 60'000 ? 60'000 : static_cast<int>(millis);
  }

  void turn() {
    const int count = epoll_wait(epoll_fd_, batch_.data(), kBatch, wait_millis());
    now_ = clock_.steady();
    batch_count_ = count > 0 ? count : 0;
    for (batch_at_ = 0; batch_at_ < batch_count_;) {
      const epoll_event event = batch_[batch_at_++];
      if (event.data.ptr == nullptr) drain_wake();
      else if (event.data.ptr != &kDead)
        static_cast<EpollWatch*>(event.data.ptr)->fire(event.events);
    }
    batch_count_ = batch_at_ = 0;
    run_posted();
    timers_.fire_due(now_);
    while (!deferred_.empty()) {
      std::vector<Function<void()>> tasks;
      tasks.swap(deferred_);
      for (auto& task : tasks) task();
    }
  }

  void drain_wake() {
    std::uint64_t count;
    [[maybe_unused]] const auto bytes = ::read(wake_fd_, &count, sizeof count);
  }

  void run_posted() {
    std::vector<Function<void()>> tasks;
    {
      std::lock_guard lock(mutex_);
      tasks.swap(posted_);
    }
    for (auto& task : tasks) task();
  }

  const Clock& clock_;
  std::unique_ptr<Random> random_;
  int epoll_fd_;
  int wake_fd_;
  SteadyTime now_;
  std::atomic<bool> is_stopped_{false};
  // Who runs it; before that, who made it. Others read it in post(), ordered by mutex_.
  std::atomic<std::thread::id> thread_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::vector<Function<void()>> posted_;
  std::vector<Function<void()>> deferred_;
  std::array<epoll_event, kBatch> batch_;
  int batch_at_ = 0;
  int batch_count_ = 0;
};

EpollWatch::~EpollWatch() { loop_.forget(this); }

}  // namespace

Result<std::unique_ptr<Loop>> make_epoll_loop(const Clock& clock, std::unique_ptr<Random> random) {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return errno_error("epoll_create1", errno);
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    const int saved = errno;
    ::close(epoll_fd);
    return errno_error("eventfd", saved);
  }
  return std::unique_ptr<Loop>(new EpollLoop(clock, std::move(random), epoll_fd, wake_fd));
}

}  // namespace lateen::event
