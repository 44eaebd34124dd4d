using System.Diagnostics;

namespace Moe.Plugins.Cpu;

/// <summary>Work that is done when its delegate returns.</summary>
internal sealed class CpuRecording(Action<nint> enqueue) : IMoeRecording
{
    public int KernelCount => 0;

    public double Replay()
    {
        long start = Stopwatch.GetTimestamp();
        enqueue(0);
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    public void Dispose()
    {
    }
}
