namespace Moe.Plugins.Cpu;

/// <summary>Work in independent units, which the threads of a <see cref="CpuTeam"/> share out among themselves.</summary>
internal interface ICpuWork
{
    /// <summary>Does one unit.</summary>
    /// <param name="phase">Which of the work's phases.</param>
    /// <param name="unit">Which unit of the phase.</param>
    /// <param name="worker">Number of the thread, for scratch memory of its own.</param>
    void Do(int phase, int unit, int worker);
}
