namespace Moe.Plugins;

/// <summary>Who starts the processes of a group, and so in which environment variables each finds its rank.</summary>
public enum MoeLauncher
{
    /// <summary>Nobody: all ranks are threads of this process.</summary>
    None,

    /// <summary>torchrun: <c>RANK</c>, <c>WORLD_SIZE</c>, <c>LOCAL_RANK</c>, <c>MASTER_ADDR</c>, <c>MASTER_PORT</c>.</summary>
    Torchrun,

    /// <summary>Slurm's srun: <c>SLURM_PROCID</c>, <c>SLURM_NTASKS</c>, <c>SLURM_LOCALID</c>, and the first of <c>SLURM_STEP_NODELIST</c>.</summary>
    Slurm,

    /// <summary>Open MPI's mpirun: <c>OMPI_COMM_WORLD_RANK</c>, <c>_SIZE</c>, <c>_LOCAL_RANK</c> and <c>_LOCAL_SIZE</c>.</summary>
    OpenMpi,
}
