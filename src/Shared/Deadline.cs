using System.Globalization;
using System.Runtime.ExceptionServices;

namespace Moe.Plugins;

/// <summary>
/// Runs a plugin's code on a thread of its own, so that code which never returns costs its caller only the wait. A thread cannot be
/// stopped: one that is late is left behind, and nothing that it stands on may be taken away.
/// </summary>
internal sealed class Deadline<T>
{
    // Not a timer, which would run where plugins can keep all threads busy.
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    /// <summary>Ticks that work has to end by itself once its caller wants no more of it: half a second.</summary>
    private const int TicksToHear = 10;

    private readonly Thread _thread;
    private readonly TimeProvider _clock;
    private readonly long _start;
    private long _end;
    private T? _result;
    private ExceptionDispatchInfo? _exception;

    /// <summary>Begins the work.</summary>
    /// <param name="name">The thread's.</param>
    /// <param name="work">What to do.</param>
    /// <param name="clock">What the time is taken from; null for the system's.</param>
    public Deadline(string name, Func<T> work, TimeProvider? clock = null)
    {
        _clock = clock ?? TimeProvider.System;
        _start = _clock.GetTimestamp();
        _thread = new Thread(() =>
        {
            try
            {
                _result = work();
            }
            catch (Exception exception)
            {
                // Whatever it is belongs to the one who waits; on this thread it would end the process.
                _exception = ExceptionDispatchInfo.Capture(exception);
            }
            finally
            {
                _end = _clock.GetTimestamp();
            }
        })
        {
            IsBackground = true,
            Name = name,
        };
        _thread.Start();
    }

    /// <summary>How long the work took, or has taken until now.</summary>
    public TimeSpan Elapsed => _thread.IsAlive ? _clock.GetElapsedTime(_start) : _clock.GetElapsedTime(_start, _end);

    /// <summary>Waits until <paramref name="timeout"/> after the start.</summary>
    /// <param name="timeout">What the work may take.</param>
    /// <param name="result">What came of it.</param>
    /// <param name="cancellationToken">Ends the wait early, half a second after it was cancelled; the work may hear it before.</param>
    /// <returns>Whether the work is done; if not, it is still running.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled, and the work is still running.</exception>
    public bool TryGet(TimeSpan timeout, out T? result, CancellationToken cancellationToken = default)
    {
        TimeSpan left;
        int ticksToHear = TicksToHear;
        do
        {
            left = timeout - _clock.GetElapsedTime(_start);
            TimeSpan wait = left > Tick ? Tick : left;
            if (_thread.Join(wait > TimeSpan.Zero ? wait : TimeSpan.Zero))
            {
                _exception?.Throw();
                result = _result;
                return true;
            }

            if (cancellationToken.IsCancellationRequested && ticksToHear-- == 0)
            {
                throw new OperationCanceledException(cancellationToken);
            }
        }
        while (left > TimeSpan.Zero);

        result = default;
        return false;
    }

    /// <summary>What to say of work that is late.</summary>
    /// <param name="who">Who does it, and what.</param>
    public string DescribeLate(string who) =>
        string.Create(CultureInfo.InvariantCulture, $"{who} has not returned after {Elapsed.TotalSeconds:0.###} s, and its thread is left behind");
}
